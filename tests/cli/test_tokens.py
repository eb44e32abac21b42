"""``openmic tokens``: what the replicas of a cluster share, from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from openmic.cli.main import main
from openmic.server.access.token_file import TokenFile
from openmic.server.access.tokens import TokenStore


def run(capsys: pytest.CaptureFixture[str], folder: Path, *arguments: str) -> tuple[int, str, str]:
    status = main(["tokens", *arguments, "--data-dir", str(folder)])
    told = capsys.readouterr()
    return status, told.out, told.err


def test_a_token_is_made_listed_and_revoked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    store = TokenStore()
    assert run(capsys, tmp_path, "list") == (0, f"No tokens in {tmp_path / 'tokens.json'}.\n", "")
    status, secret, _ = run(capsys, tmp_path, "new", "--use", "owner", "--seconds", "60")
    assert status == 0
    TokenFile(tmp_path).follow(store)
    key = store.find(secret.strip())
    assert (key.use, key.seconds) == ("owner", 60.0)
    _, listed, _ = run(capsys, tmp_path, "list")
    token_id, use, *_, state, seconds = listed.splitlines()[1].split()
    assert (token_id, use, state, seconds) == (key.id, "owner", "good", "60.0")
    assert secret.strip() not in listed
    assert run(capsys, tmp_path, "revoke", key.id) == (0, f"revoked {key.id}\n", "")
    assert "revoked" in run(capsys, tmp_path, "list")[1]


def test_the_first_token_can_be_shown_again(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    first = TokenFile(tmp_path).ensure("owner", None, None)
    assert run(capsys, tmp_path, "show", "--use", "owner") == (0, f"{first.secret}\n", "")
    status, _, told = run(capsys, tmp_path, "show")
    assert status == 2
    assert told.splitlines()[0] == "There is no such token."


def test_a_wrong_one_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    status, _, told = run(capsys, tmp_path, "revoke", "deadbeef")
    assert status == 2
    assert "openmic tokens list" in told

"""Tokens that processes share in a file: made and revoked by one, followed by all."""

from __future__ import annotations

import multiprocessing
import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from openmic.errors import OpenmicError
from openmic.server.access.token_file import NAME, TokenFile
from openmic.server.access.tokens import TokenStore


def test_whoever_comes_first_makes_the_first_tokens(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:  # as replicas that start at once
        made = list(pool.map(lambda _: TokenFile(tmp_path).ensure("tester", None, None), range(8)))
    assert len({token.secret for token in made}) == 1
    assert len(TokenFile(tmp_path).read()) == 1
    assert TokenFile(tmp_path).ensure("owner", None, None).secret != made[0].secret


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    TokenFile(tmp_path / "new").ensure("tester", None, None)
    assert stat.S_IMODE((tmp_path / "new" / NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    assert not [path for path in (tmp_path / "new").iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077]


def test_what_one_process_makes_and_revokes_the_others_follow(tmp_path: Path) -> None:
    mine, theirs, store, ended = TokenFile(tmp_path), TokenFile(tmp_path), TokenStore(), list[str]()
    token, secret = mine.make("tester")
    theirs.follow(store)
    key = store.find(secret)
    assert (key.id, key.use) == (token.id, "tester")
    store.watch(object(), key, lambda: ended.append("told"))
    mine.revoke(token.id)
    theirs.follow(store)
    assert ended == ["told"]
    with pytest.raises(OpenmicError, match="revoked"):
        store.find(secret)


def test_the_file_has_no_secret_but_those_that_a_link_shows_again(tmp_path: Path) -> None:
    file = TokenFile(tmp_path)
    first, chosen = file.ensure("tester", None, None), file.ensure("owner", None, "chosen-by-its-owner")
    _, secret = file.make("tester")
    text = (tmp_path / NAME).read_text()
    assert first.secret is not None
    assert first.secret in text
    assert secret not in text
    assert "chosen-by-its-owner" not in text
    assert chosen.secret is None
    assert first.secret not in repr(first)


def test_a_chosen_token_that_was_revoked_stays_so(tmp_path: Path) -> None:
    file = TokenFile(tmp_path)
    token = file.ensure("owner", None, "chosen-by-its-owner")
    file.revoke("chosen-by-its-owner")
    assert file.ensure("owner", None, "chosen-by-its-owner").revoked
    assert file.read()[0].id == token.id
    with pytest.raises(OpenmicError) as caught:
        file.ensure("tester", None, "chosen-by-its-owner")
    assert caught.value.code == "bad_token_request"


def test_a_life_is_reckoned_from_when_it_was_made(tmp_path: Path) -> None:
    file, store = TokenFile(tmp_path), TokenStore()
    _, secret = file.make("tester", 3600.0)
    _, short = file.make("tester", 0.001)
    time.sleep(0.01)
    file.follow(store)
    assert not store.find(secret).expired
    assert store.find(short).expired
    deadline = store.find(secret).deadline
    assert deadline is not None
    assert 3590 < deadline - time.monotonic() <= 3600


def test_a_new_start_forgets_what_an_earlier_one_gave_out(tmp_path: Path) -> None:
    file, store = TokenFile(tmp_path), TokenStore()
    secret = file.ensure("tester", None, None).secret
    file.follow(store)
    file.renew()
    other = file.ensure("tester", None, None).secret
    file.follow(store)
    assert other != secret
    assert not store.find(other).revoked
    with pytest.raises(OpenmicError, match="revoked"):
        store.find(secret)


def test_a_file_that_is_gone_or_broken_takes_nobody_out(tmp_path: Path) -> None:
    file, store = TokenFile(tmp_path), TokenStore()
    secret = file.ensure("tester", None, None).secret
    file.follow(store)
    (tmp_path / NAME).unlink()
    file.follow(store)
    assert not store.find(secret).revoked
    (tmp_path / NAME).write_text("{")
    with pytest.raises(ValueError, match="Expecting"):
        file.follow(store)
    assert not store.find(secret).revoked


@pytest.mark.parametrize("wrong", ["", "no such token"])
def test_what_is_no_token_cannot_be_revoked(tmp_path: Path, wrong: str) -> None:
    TokenFile(tmp_path).ensure("tester", None, None)
    with pytest.raises(OpenmicError) as caught:
        TokenFile(tmp_path).revoke(wrong)
    assert caught.value.code == "no_such_token"


def _make_some(folder: str, count: int) -> None:
    for _ in range(count):
        TokenFile(Path(folder)).make("tester")


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_make_some, args=(str(tmp_path), 10)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len({token.id for token in TokenFile(tmp_path).read()}) == 30

"""Each way in which ngrok fails, from a stand-in that fails so, has its row of the problem table."""

from __future__ import annotations

from pathlib import Path

import pytest

from openmic.errors import OpenmicError
from openmic.tunnels import ngrok
from openmic.tunnels.problems import NGROK_CODES
from tests.support.tunnel_fixtures import OpenNgrok, running_under


@pytest.mark.parametrize("number", [n for n in NGROK_CODES if n not in (3200, 8012)])
def test_every_code_of_the_table_has_its_row(open_one: OpenNgrok, tmp_path: Path, number: int) -> None:
    with pytest.raises(OpenmicError) as caught:
        open_one(str(number))
    assert caught.value.code == NGROK_CODES[number]
    assert str(number) in str(caught.value)
    assert running_under(tmp_path) == []
    assert list((tmp_path / "running").iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("299", "ngrok_other"),
        ("999", "ngrok_other"),
        ("stderr_107", "authtoken_revoked"),
        ("dies", "agent_died"),
        ("dies_after_probe", "agent_died"),
        ("http_500", "ngrok_other"),
    ],
)
def test_other_failures_have_their_row(open_one: OpenNgrok, tmp_path: Path, mode: str, code: str) -> None:
    with pytest.raises(OpenmicError) as caught:
        open_one(mode)
    assert caught.value.code == code
    if mode.isdigit():
        assert f"ERR_NGROK_{mode}" in str(caught.value)
    assert running_under(tmp_path) == []
    assert list((tmp_path / "running").iterdir()) == []


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("hang", "agent_start_timeout"),
        ("unreachable", "ngrok_unreachable"),
        ("old_api", "agent_too_old"),
        ("deaf_api", "agent_too_old"),
    ],
)
@pytest.mark.slow
def test_an_agent_that_never_gets_ready_is_ended(open_one: OpenNgrok, tmp_path: Path, mode: str, code: str) -> None:
    with pytest.raises(OpenmicError) as caught:
        open_one(mode, start_seconds=5.0)
    assert caught.value.code == code
    assert running_under(tmp_path) == []
    assert list((tmp_path / "running").iterdir()) == []


@pytest.mark.slow
def test_an_endpoint_that_never_opens_is_given_up(
    open_one: OpenNgrok, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ngrok, "REQUEST_SECONDS", 2.0)
    with pytest.raises(OpenmicError) as caught:
        open_one("slow_open")
    assert caught.value.code == "agent_start_timeout"
    assert running_under(tmp_path) == []

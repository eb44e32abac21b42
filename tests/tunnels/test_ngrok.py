"""pyngrok drives a stand-in agent; bytes really go through its public port."""

from __future__ import annotations

import json
import logging
import stat
import traceback
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from openmic.errors import OpenmicError
from openmic.settings import Settings
from openmic.tunnels import open_tunnel
from tests.support.tunnel_fixtures import (
    AUTHTOKEN,
    OpenNgrok,
    echo_server,
    make_ngrok_agent,
    running_under,
)
from tests.support.waiting import wait_until


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, object]]]:
    path = tmp_path / "journal"
    monkeypatch.setenv("NGROK_STAND_IN_JOURNAL", str(path))
    return lambda: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_http_goes_through_the_public_port(open_one: OpenNgrok) -> None:
    tunnel = open_one()
    assert httpx.get(f"{tunnel.public_url}/healthz").text == "ok"
    assert tunnel.alive()
    assert tunnel.name == "ngrok"
    assert tunnel.expires is not None
    assert "token" in tunnel.expires


def test_a_websocket_goes_through_the_public_port(open_one: OpenNgrok) -> None:
    with echo_server() as port:
        tunnel = open_one(port=port)
        with connect(tunnel.public_url.replace("http", "ws", 1)) as client:
            sent: list[bytes | str] = [b"\x00\x01" * 40_000, "merhaba"]
            for message in sent:
                client.send(message)
            assert [client.recv(), client.recv()] == sent


def test_the_endpoint_is_asked_for_in_version_3(
    open_one: OpenNgrok, port: int, journal: Callable[[], list[dict[str, object]]]
) -> None:
    open_one(url="mine.ngrok.app")
    bodies = [event["body"] for event in journal() if event.get("method") == "POST"]
    assert bodies == [
        {
            "name": "openmic",
            "upstream": {"url": f"http://127.0.0.1:{port}"},
            "inspect": False,
            "url": "https://mine.ngrok.app",
        }
    ]


def test_close_signs_off_ends_the_agent_and_leaves_nothing(
    open_one: OpenNgrok, tmp_path: Path, journal: Callable[[], list[dict[str, object]]]
) -> None:
    tunnel = open_one()
    assert len(running_under(tmp_path)) == 1
    tunnel.close()
    tunnel.close()
    assert not tunnel.alive()
    assert running_under(tmp_path) == []
    assert list((tmp_path / "running").iterdir()) == []
    assert [event["endpoints"] for event in journal() if event["event"] == "signed off"] == [[]]
    with pytest.raises(httpx.HTTPError):
        httpx.get(tunnel.public_url)


@pytest.mark.slow
def test_an_agent_that_ignores_the_signal_is_ended_all_the_same(open_one: OpenNgrok, tmp_path: Path) -> None:
    tunnel = open_one("stubborn")
    tunnel.close()
    assert running_under(tmp_path) == []


def test_a_second_tunnel_has_its_own_agent(open_one: OpenNgrok, tmp_path: Path) -> None:
    first, second = open_one(), open_one()
    assert first.public_url != second.public_url
    assert len(running_under(tmp_path)) == 2
    second.close()
    assert first.alive()
    assert httpx.get(first.public_url).text == "ok"


def test_an_agent_that_dies_is_noticed(open_one: OpenNgrok) -> None:
    tunnel = open_one("dies_later")
    wait_until(lambda: not tunnel.alive())
    tunnel.close()


def test_a_talkative_agent_does_not_choke_on_its_log(
    open_one: OpenNgrok, journal: Callable[[], list[dict[str, object]]]
) -> None:
    tunnel = open_one("noisy")
    wait_until(lambda: any(event["event"] == "said everything" for event in journal()))
    assert httpx.get(tunnel.public_url).text == "ok"


MODES_WITH_THE_AUTHTOKEN_IN_THEIR_TEXT = ["ok", "105", "107", "999", "http_500", "stderr_107", "4018"]


@pytest.mark.parametrize("mode", MODES_WITH_THE_AUTHTOKEN_IN_THEIR_TEXT)
def test_the_authtoken_is_nowhere(
    mode: str,
    tmp_path: Path,
    port: int,
    monkeypatch: pytest.MonkeyPatch,
    journal: Callable[[], list[dict[str, object]]],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    authtoken = f"{AUTHTOKEN}mode_{mode}"
    monkeypatch.setenv("PYNGROK_NGROK_PATH", str(make_ngrok_agent(tmp_path)))
    monkeypatch.setenv("NGROK_AUTHTOKEN", authtoken)
    settings = Settings(tunnel="auto", cache_dir=tmp_path)
    said = repr(settings)
    error: OpenmicError | None = None
    try:
        tunnel = open_tunnel(settings, port)
        assert tunnel is not None
        said += repr(tunnel) + repr(vars(tunnel))
        for process in running_under(tmp_path):
            said += " ".join(process.cmdline()) + str(process.environ().get("NGROK_AUTHTOKEN"))
        tunnel.close()
        assert mode == "ok"
    except OpenmicError as raised:
        error = raised
    if mode != "ok":
        assert error is not None
        assert error.__cause__ is None
        assert error.__context__ is None
        said += "".join(traceback.format_exception(error)) + repr(error.__dict__) + str(error.args)
        frames = error.__traceback__.tb_next if error.__traceback__ else None  # without this test's own
        said += "".join(traceback.TracebackException(type(error), error, frames, capture_locals=True).format())
        assert "in open_ngrok" in said
    out, err = capfd.readouterr()
    said += out + err + caplog.text
    said += json.dumps([event for event in journal() if event["event"] == "start"])
    assert "start" in said
    assert 'authtoken_in_environment": false' in said
    assert AUTHTOKEN not in said
    assert "ERROR" not in out + err  # nor does the agent's own complaint stand beside ours


def test_logs_of_pyngrok_reach_a_listener_redacted(open_one: OpenNgrok, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(OpenmicError):
        open_one("107")
    assert "ERR_NGROK_107" in caplog.text
    assert "[hidden]" in caplog.text
    assert AUTHTOKEN not in caplog.text


def test_the_configuration_is_private_and_only_the_settings_authtoken_counts(
    open_one: OpenNgrok, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NGROK_AUTHTOKEN", "2anotherAuthtokenMode_mode_107")
    open_one("ok")
    (config,) = (tmp_path / "running").glob("*/ngrok.yml")
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700

"""``openmic.launch`` over a scripted engine: what it starts, it stops; what fails is cleaned up and told."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import openmic
import openmic.service.service as launching
from openmic.client import stream_file
from openmic.errors import OpenmicError
from openmic.service.arguments import make_settings
from openmic.service.launch import launch, stop_current
from openmic.service.service import OpenMic
from openmic.tunnels import PROBLEMS as TUNNEL_PROBLEMS
from tests.support.scripted_engine import ScriptedEngine


class StandInTunnel:
    """Stands for a public tunnel, which cannot be had here."""

    name = "ngrok"
    public_url = "https://name.ngrok-free.app"
    expires = "While it runs."

    def __init__(self) -> None:
        self.closed = 0

    def alive(self) -> bool:
        return not self.closed

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[ScriptedEngine]]:
    """The engines that launches load here: scripted ones."""
    made: list[ScriptedEngine] = []

    def load(settings: Any, progress: Any) -> ScriptedEngine:
        progress("Loading base", 0.5)
        progress("Loading base", 1.0)
        made.append(ScriptedEngine())
        return made[-1]

    monkeypatch.setattr(launching, "load_engine", load)
    monkeypatch.setenv("OPENMIC_DATA_DIR", str(tmp_path / "recordings"))
    monkeypatch.setenv("OPENMIC_STOP_SECONDS", "5")
    monkeypatch.setenv("OPENMIC_TUNNEL", "none")
    yield made
    stop_current()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=120) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_a_service_starts_serves_and_stops(engines: list[ScriptedEngine], sample_audio: Path) -> None:
    mic = openmic.launch()
    assert mic.running
    assert mic.url == mic.local_url
    assert mic.link == f"{mic.url}/#token={mic.token}"
    assert len(mic.token) >= 32
    assert answers(mic.local_url)
    result = stream_file(mic.link, sample_audio / "quickstart.wav", realtime=False)
    assert result.live_text.startswith("one two")
    assert [one.session_id for one in mic.status().sessions] == [result.session_id]
    assert mic.status().sessions[0].final_text == result.text
    mic.stop()
    mic.stop()
    assert not mic.running
    assert not answers(mic.local_url)
    assert engines[0].closed
    assert mic.status().state == "stopped"
    assert "token" not in mic.dashboard().html()


def test_the_name_is_a_plain_function(engines: list[ScriptedEngine]) -> None:
    assert openmic.launch is launch
    with openmic.launch(language="tr") as mic:
        assert mic.settings.language == "tr"
        assert answers(mic.local_url)
    assert not answers(mic.local_url)


def test_launching_again_stops_the_old_one_first(engines: list[ScriptedEngine]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    first = launch(port=port)
    second = launch(port=port)
    assert not first.running
    assert engines[0].closed
    assert not engines[1].closed
    assert first.token != second.token
    assert answers(second.local_url)


def test_a_port_in_use_is_told_before_the_weights(engines: list[ScriptedEngine]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(OpenmicError) as caught:
        launch(port=listener.getsockname()[1])
    assert caught.value.code == "port_in_use"
    assert engines == []


def test_an_address_of_another_machine_is_told_before_the_weights(engines: list[ScriptedEngine]) -> None:
    with pytest.raises(OpenmicError) as caught:
        launch(host="203.0.113.1", port=8000)
    assert caught.value.code == "address_unusable"
    assert engines == []


def our_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("openmic-")}


def test_a_server_that_does_not_start_leaves_nothing(
    engines: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = our_threads()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(launching, "check_port", lambda host, port: None)  # the port is taken after the check
        with pytest.raises(OpenmicError) as caught:
            launch(port=listener.getsockname()[1])
    assert caught.value.code == "port_in_use"
    assert engines[0].closed
    assert our_threads() == before


def test_weights_that_cannot_be_had_leave_nothing(
    engines: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = our_threads()

    def fail(settings: Any, progress: Any) -> None:
        raise OpenmicError("unknown_model", "There is no model of that name.", "It is misspelt.", "Choose one of ...")

    monkeypatch.setattr(launching, "load_engine", fail)
    with pytest.raises(OpenmicError) as caught:
        launch("hugo")
    assert caught.value.code == "unknown_model"
    assert our_threads() == before


def test_a_tunnel_gives_the_public_link_and_is_closed(
    engines: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    tunnel = StandInTunnel()
    ports: list[int] = []
    monkeypatch.setattr(launching, "open_tunnel", lambda settings, port, *_: ports.append(port) or tunnel)
    with launch() as mic:
        assert mic.local_url == f"http://127.0.0.1:{ports[0]}"
        assert mic.link == f"https://name.ngrok-free.app/#token={mic.token}"
        card = mic.card()
        assert card.good_for == "While it runs."
        assert "1 GB" in str(card)
        assert card.public_hint == ""
        assert mic.status().tunnel == "ngrok"
    assert tunnel.closed >= 1


def test_a_tunnel_that_fails_is_told_and_the_service_goes_on(
    engines: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(settings: Any, port: int, *_: Any) -> None:
        raise TUNNEL_PROBLEMS.error("authtoken_revoked")

    monkeypatch.setattr(launching, "open_tunnel", fail)
    mic = launch(tunnel="ngrok")
    assert answers(mic.local_url)
    assert mic.url == mic.local_url
    out = capsys.readouterr().out
    row = TUNNEL_PROBLEMS["authtoken_revoked"]
    assert row.what in out
    assert row.why in out
    assert row.hint in out
    assert "local link" in out


def test_a_thread_that_is_not_well_shows_in_health_and_on_the_dashboard(
    engines: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each that keeps a promise: the engine's, the keeper, the one that saves, the tunnel's watch."""
    monkeypatch.setattr(launching, "open_tunnel", lambda settings, port, *_: StandInTunnel())
    with launch() as mic:

        def health() -> str:
            return str(httpx.get(f"{mic.local_url}/healthz").json()["status"])

        assert mic._parts.sessions is not None
        assert mic._parts.tunnel is not None
        assert (health(), mic.status().problems) == ("ok", ())
        engines[-1].problems = ("openmic-engine is late",)
        assert (health(), mic.status().problems) == ("degraded", ("openmic-engine is late",))
        engines[-1].problems = ()
        for thread in (
            mic._parts.sessions._keeper._thread,
            mic._parts.sessions._syncer._thread,
            mic._parts.tunnel._thread,
        ):
            with monkeypatch.context() as unwell:
                unwell.setattr(thread, "_late_seconds", -1.0)
                (problem,) = mic.status().problems
                assert problem == f"{thread.name} is late"
                assert health() == "degraded"
                assert f"({problem}): see the log" in mic.dashboard().html()
        assert health() == "ok"


def test_a_web_server_that_died_shows_on_the_dashboard(
    engines: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    with launch() as mic:
        assert mic._parts.server is not None

        def die(*_: object) -> None:
            raise MemoryError

        monkeypatch.setattr(mic._parts.server._server, "on_tick", die)
        mic._parts.server._thread.join(20)
        assert mic.status().problems == ("openmic-server is dead",)


def test_the_token_shows_only_where_it_must(engines: list[ScriptedEngine], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    with launch() as mic:
        assert mic.token not in repr(mic)
        assert mic.token not in repr(mic.status())
        assert mic.token not in repr(mic.card())
        assert mic.token in mic.card()._repr_html_()
        answers(mic.local_url)
    assert mic.token not in caplog.text
    assert mic.token not in repr(mic)


def test_the_owner_is_told_how_many_it_carries(engines: list[ScriptedEngine], monkeypatch: pytest.MonkeyPatch) -> None:
    with launch() as mic:
        assert mic.speakers == "up to 8 speakers at once", "the scripted engine has not measured"
        monkeypatch.setattr(engines[-1], "capacity", 1)
        assert "about 1 speaker at once" in str(mic.card())
        assert mic.status().speakers == mic.speakers == "about 1 speaker at once"
    with launch(max_sessions=2) as mic:
        assert mic.speakers == "up to 2 speakers at once"


def test_a_token_of_ones_own(engines: list[ScriptedEngine]) -> None:
    with launch(token="my-own-token-of-24-letters") as mic:
        assert mic.link.endswith("/#token=my-own-token-of-24-letters")


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"modle": "base"}, "unknown_setting", "modle"),
        ({"port": 70_000}, "bad_setting", "OPENMIC_PORT"),
        ({"tunnel": "carrier-pigeon"}, "bad_setting", "tunnel"),
        ({"max_sessions": "secret-text"}, "bad_setting", "max_sessions"),
        ({"ngrok_authtoken": 7}, "bad_setting", "ngrok_authtoken"),
        ({"ngrok_authtoken": 7}, "bad_setting", "NGROK_AUTHTOKEN"),
    ],
)
def test_settings_that_cannot_be_used(given: dict[str, Any], code: str, said: str) -> None:
    with pytest.raises(OpenmicError) as caught:
        make_settings(**given)
    assert caught.value.code == code
    assert said in str(caught.value)
    assert "secret-text" not in str(caught.value)
    assert "OPENMIC_NGROK" not in str(caught.value)
    assert caught.value.__context__ is None


def test_arguments_win_over_the_environment_and_defaults_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENMIC_MODEL", "small")
    assert make_settings(model="auto").model == "small"
    assert make_settings(model="tiny").model == "tiny"


def test_importing_openmic_loads_no_torch() -> None:
    code = "import sys, openmic; openmic.stream_file; print('torch' in sys.modules, 'fastapi' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_every_public_name_is_there() -> None:
    for name in openmic.__all__:
        assert getattr(openmic, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'lunch'"):
        openmic.lunch  # noqa: B018


@pytest.mark.slow
def test_a_process_that_ends_stops_its_service(tmp_path: Path) -> None:
    code = """
import json, sys
sys.path.insert(0, sys.argv[1])
import openmic.service.service as launching
from tests.support.scripted_engine import ScriptedEngine
launching.load_engine = lambda settings, progress: ScriptedEngine()
from openmic.service.launch import launch
mic = launch(tunnel="none", data_dir=sys.argv[2])
print(json.dumps([mic.local_url, mic.running]))
"""
    command = [sys.executable, "-c", code, str(Path(__file__).parents[2]), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True, env={**os.environ})
    url, running = json.loads(done.stdout)
    assert running
    assert not answers(url)
    assert "Traceback" not in done.stderr


def test_an_unstarted_service_can_be_stopped() -> None:
    mic = OpenMic(make_settings(tunnel="none"))
    mic.stop()
    assert repr(mic) == "<OpenMic stopped>"

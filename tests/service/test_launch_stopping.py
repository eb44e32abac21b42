"""Stopping well, in processes of its own: signals, the dashboard's button, the notebook's kernel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.manager import KernelManager

import openmic.service.service as launching
from openmic.client import stream_file
from openmic.server.thread import ServerThread
from openmic.service.launch import launch
from openmic.service.service import OpenMic
from openmic.tunnels.agent_tunnel import AgentTunnel
from openmic.tunnels.agents import AgentFolder
from tests.support.scripted_engine import ScriptedEngine
from tests.support.tunnel_fixtures import AUTHTOKEN, lives, make_ngrok_agent, running_under
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
WAIT = 120
SCRIPTED = """
import sys
sys.path.insert(0, {root!r})
import openmic.service.service as launching
from tests.support.scripted_engine import ScriptedEngine
launching.load_engine = lambda settings, progress: ScriptedEngine()
"""
SERVE = SCRIPTED + "from openmic.cli.main import main\nsys.exit(main(sys.argv[1:]))"


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=120) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@contextmanager
def serving(folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """``openmic serve`` over a scripted engine, and its link."""
    env = {**os.environ, "OPENMIC_DATA_DIR": str(folder), "OPENMIC_TUNNEL": "none", "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", SERVE.format(root=str(ROOT)), "serve"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stdout is not None
        link = ""
        while not link:
            line = process.stdout.readline()
            assert line, "it ended before it showed its link"
            link = next((word for word in line.split() if "#token=" in word), "")
        yield process, link
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_a_signal_finishes_running_sessions(number: signal.Signals, tmp_path: Path, sample_audio: Path) -> None:
    with serving(tmp_path) as (process, link):
        told: list[dict[str, Any]] = []
        began = threading.Event()

        def hear(message: dict[str, Any]) -> None:
            told.append(message)
            if message["type"] == "commit":
                began.set()

        speaker = threading.Thread(
            target=stream_file, args=(link, sample_audio / "interview.wav"), kwargs={"on_message": hear}
        )
        speaker.start()
        assert began.wait(WAIT)
        process.send_signal(number)
        assert process.wait(WAIT) == 0
        speaker.join(WAIT)
    assert [message["type"] for message in told[-2:]] == ["final", "done"]
    assert told[-1]["reason"] == "shutdown"
    assert told[-2]["text"].startswith(" heard ")
    events = [json.loads(line)["event"] for line in (tmp_path / "log" / "openmic.jsonl").read_text().splitlines()]
    assert events[0] == "token_made" or events[0] == "service_started"
    assert events[-1] == "service_stopped"
    assert events.index("service_stopping") < events.index("session_ended")


def test_the_dashboards_button_stops_well(tmp_path: Path, sample_audio: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "load_engine", lambda settings, progress: ScriptedEngine())
    mic = launch(tunnel="none", data_dir=tmp_path)
    told: list[str] = []
    began = threading.Event()

    def hear(message: dict[str, Any]) -> None:
        told.append(message["type"])
        if message["type"] == "commit":
            began.set()

    arguments = {"on_message": hear}
    speaker = threading.Thread(target=stream_file, args=(mic.link, sample_audio / "interview.wav"), kwargs=arguments)
    speaker.start()
    assert began.wait(WAIT)
    mic.dashboard().buttons().children[-1].click()
    speaker.join(WAIT)
    assert told[-2:] == ["final", "done"]
    assert not mic.running
    assert not answers(mic.local_url)


@contextmanager
def kernel(folder: Path) -> Iterator[tuple[KernelManager, str, psutil.Process]]:
    """A real kernel in which a service with a tunnel runs: its manager, the local address, the tunnel's program."""
    env = {
        **os.environ,
        "OPENMIC_DATA_DIR": str(folder / "recordings"),
        "OPENMIC_CACHE_DIR": str(folder / "cache"),
        "PYNGROK_NGROK_PATH": str(make_ngrok_agent(folder)),
        "NGROK_AUTHTOKEN": f"{AUTHTOKEN}mode_ok",
    }
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel(env=env, cwd=str(ROOT))
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=WAIT)
        outputs: list[str] = []
        code = (
            SCRIPTED.format(root=str(ROOT))
            + "import openmic\nmic = openmic.launch(tunnel='ngrok')\nprint('URL', mic.local_url)"
        )

        def hook(message: dict[str, Any]) -> None:
            outputs.append(str(message["content"].get("text", "")))

        reply = client.execute_interactive(code, timeout=WAIT, output_hook=hook)
        assert reply["content"]["status"] == "ok", outputs
        url = "".join(outputs).rpartition("URL ")[2].split()[0]
        (agent,) = running_under(folder / "cache")
        assert answers(url)
        yield manager, url, agent
    finally:
        client.stop_channels()
        if manager.is_alive():
            manager.shutdown_kernel(now=True)
        manager.context.destroy(linger=0)  # left to the garbage collector it warns in some later test
        for left in running_under(folder):
            left.kill()


@pytest.mark.slow
@pytest.mark.faults
def test_a_kernel_that_is_shut_down_takes_server_and_tunnel_with_it(tmp_path: Path) -> None:
    with kernel(tmp_path) as (manager, url, agent):
        manager.shutdown_kernel()
        wait_until(lambda: not answers(url))
        wait_until(lambda: not lives(agent))


@pytest.mark.slow
@pytest.mark.faults
def test_what_a_killed_kernel_leaves_is_ended_by_the_next_service_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launching, "load_engine", lambda settings, progress: ScriptedEngine())
    others = tmp_path / "others"
    others.mkdir()
    with kernel(others) as (_, _, not_ours), kernel(tmp_path) as (manager, url, agent):
        manager.signal_kernel(signal.SIGKILL)
        wait_until(lambda: not answers(url))  # the tunnel's program may outlive it, and does where it writes nothing
        monkeypatch.setenv("PYNGROK_NGROK_PATH", str(make_ngrok_agent(tmp_path / "next")))
        with launch(
            tunnel="ngrok",
            ngrok_authtoken=f"{AUTHTOKEN}mode_ok",
            cache_dir=tmp_path / "cache",
            data_dir=tmp_path / "recordings",
        ):
            wait_until(lambda: not lives(agent))
        assert lives(not_ours)


class Part:
    """A part of a service whose first close is interrupted, or fails; the real one, if there is one, is closed then."""

    def __init__(self, real: Any, failure: type[BaseException] | None) -> None:
        self.real = real
        self.closed = 0
        self._failures = [failure] if failure is not None else []

    def close(self, *seconds: float) -> None:
        if self._failures:
            raise self._failures.pop()
        self.closed += 1
        if self.real is not None:
            self.real.stop() if isinstance(self.real, ServerThread) else self.real.close(*seconds)

    stop = close

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


PARTS = ("server", "tunnel", "sessions", "engine")


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
@pytest.mark.parametrize("interrupted", PARTS)
def test_a_stop_that_is_interrupted_closes_the_rest_and_can_be_gone_on_with(
    interrupted: str, failure: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines = [ScriptedEngine(), ScriptedEngine()]
    monkeypatch.setattr(launching, "load_engine", lambda settings, progress: engines.pop(0))
    mic = launch(tunnel="none", data_dir=tmp_path, stop_seconds=1)
    assert mic._parts.server is not None
    assert mic._parts.sessions is not None
    parts = {name: Part(getattr(mic._parts, name), failure if name == interrupted else None) for name in PARTS}
    for name, part in parts.items():
        monkeypatch.setattr(mic._parts, name, part)
    with pytest.raises(failure) if failure is KeyboardInterrupt else nullcontext():
        mic.stop()
    closed = {name: part.closed for name, part in parts.items()}
    assert closed == {name: int(name != interrupted) for name in PARTS}
    assert repr(mic) == "<OpenMic stopping; stop() again closes what is left>"
    assert not mic.running
    with launch(tunnel="none", data_dir=tmp_path, stop_seconds=1) as other:  # which goes on with it first
        assert parts[interrupted].closed == 1
        assert other.running
    assert repr(mic) == "<OpenMic stopped>"
    before = {name: part.closed for name, part in parts.items()}
    mic.stop()
    assert {name: part.closed for name, part in parts.items()} == before


def test_a_start_whose_end_is_interrupted_is_ended_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[Part] = []

    def interrupted(mic: OpenMic, progress: object) -> None:
        left.append(Part(mic._parts.sessions, KeyboardInterrupt))
        mic._parts.sessions = left[0]  # type: ignore[assignment]
        raise KeyboardInterrupt

    monkeypatch.setattr(launching, "load_engine", lambda settings, progress: ScriptedEngine())
    with monkeypatch.context() as first:
        first.setattr(OpenMic, "_open_tunnel", interrupted)
        with pytest.raises(KeyboardInterrupt):
            launch(tunnel="none", data_dir=tmp_path)
    assert left[0].closed == 0
    with launch(tunnel="none", data_dir=tmp_path):
        assert left[0].closed == 1


class ProgramTunnel(AgentTunnel):
    """A tunnel whose program takes its time to sign off."""

    interrupted = 1

    def _end(self) -> None:
        if self.interrupted:
            self.interrupted -= 1
            raise KeyboardInterrupt
        self._program.wait(WAIT)


def test_a_tunnel_whose_close_is_interrupted_leads_nowhere_and_is_closed_by_the_next_one(tmp_path: Path) -> None:
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    folder = AgentFolder(tmp_path, Path(sys.executable))
    tunnel = ProgramTunnel("https://a.example", program, folder)
    with pytest.raises(KeyboardInterrupt):
        tunnel.close()
    program.wait(WAIT)  # ended, without a sign-off
    assert folder.path.exists()
    tunnel.close()
    assert not folder.path.exists()
    tunnel.close()

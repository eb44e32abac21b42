"""What breaks between a client and the service costs no word: real speech, real weights, a real server and client.

Each fault's final text, and its committed words in order, are compared with those of an undisturbed run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from openmic.client import Result, stream_file
from openmic.server.app import create_app
from openmic.server.thread import ServerThread
from openmic.sessions.registry import Sessions
from openmic.settings import Settings
from openmic.speech.load import load_engine
from openmic.speech.types import Engine
from tests.support.bad_line import BadLine
from tests.support.cutting_proxy import CuttingProxy
from tests.support.media import read_wav, webm
from tests.support.waiting import wait_until

SECONDS = 8.0
CUTS = 20
Told = list[dict[str, Any]]

pytestmark = [pytest.mark.slow, pytest.mark.faults]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """The real ``tiny.en``."""
    running = load_engine(Settings(model="tiny.en"))
    yield running
    running.close()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory, sample_audio: Path) -> Path:
    """The beginning of the quick start's recording, as a browser would send it."""
    path = tmp_path_factory.mktemp("speech") / "speech.webm"
    path.write_bytes(webm(read_wav(sample_audio / "quickstart.wav")[: int(SECONDS * 16_000)]))
    return path


@contextmanager
def served(engine: Engine, folder: Path, **settings: Any) -> Iterator[tuple[ServerThread, Sessions]]:
    chosen = Settings(**{"data_dir": folder, "stop_seconds": 60.0, **settings})
    sessions = Sessions(chosen, engine)
    thread = ServerThread(create_app(chosen, sessions, "secret"), "127.0.0.1", 0)
    thread.start()
    try:
        yield thread, sessions
    finally:
        thread.stop()
        sessions.close()


def speak(port: int, recording: Path, *, realtime: bool = True, on_message: Any = None) -> tuple[Result, Told]:
    told: Told = []

    def hear(message: dict[str, Any]) -> None:
        told.append(message)
        if on_message is not None:
            on_message(message)

    link = f"http://127.0.0.1:{port}/#token=secret"
    result = stream_file(link, recording, realtime=realtime, words=True, reconnect_seconds=60, on_message=hear)
    return result, told


@pytest.fixture(scope="module")
def undisturbed(engine: Engine, recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Result:
    with served(engine, tmp_path_factory.mktemp("calm")) as (server, _):
        result, _ = speak(server.port, recording)
    assert "Good morning" in result.text
    return result


def check(result: Result, told: Told, sessions: Sessions, undisturbed: Result) -> None:
    """The same words, each told once."""
    assert result.text == undisturbed.text
    assert result.duration == undisturbed.duration
    numbers = [message["seq"] for message in told if message["type"] in ("commit", "final", "done")]
    assert numbers == list(range(1, len(numbers) + 1))
    committed = "".join(message["text"] for message in told if message["type"] == "commit")
    assert committed.strip() == result.live_text
    (session,) = sessions.list()
    assert session.received_bytes > 0
    assert session.committed_text == result.live_text


def lost(told: Told) -> int:
    return sum(1 for message in told if message["type"] == "connection" and message["state"] == "lost")


def test_cut_at_random_bytes_twenty_times(engine: Engine, recording: Path, undisturbed: Result, tmp_path: Path) -> None:
    chance = random.Random(7)
    limits = [chance.randint(700, 1600) for _ in range(CUTS)]  # bytes upward, the handshake's some 500 among them
    with served(engine, tmp_path) as (server, sessions):
        proxy = CuttingProxy(server.port, limits)
        result, told = speak(proxy.port, recording)
        proxy.close()
        check(result, told, sessions, undisturbed)
    assert proxy.connections > CUTS
    assert lost(told) > 0


@pytest.mark.parametrize(
    "line",
    [
        pytest.param({"delay_seconds": 0.4}, id="every byte half a second late"),
        pytest.param({"bytes_per_second": 2000}, id="half the bandwidth that the recording needs"),
    ],
)
def test_a_slow_line(
    engine: Engine, recording: Path, undisturbed: Result, tmp_path: Path, line: dict[str, float]
) -> None:
    with served(engine, tmp_path) as (server, sessions):
        proxy = BadLine(server.port, **line)
        result, told = speak(proxy.port, recording)
        proxy.close()
        check(result, told, sessions, undisturbed)


def test_a_line_that_stalls_longer_than_pings_wait(
    engine: Engine, recording: Path, undisturbed: Result, tmp_path: Path
) -> None:
    with served(engine, tmp_path, ping_seconds=0.5) as (server, sessions):
        proxy = BadLine(server.port)
        began = threading.Event()

        def stall() -> None:
            assert began.wait(120)
            proxy.stall()
            wait_until(lambda: not sessions.list()[0].attached)  # the server has given the connection up
            proxy.go_on()

        thread = threading.Thread(target=stall)
        thread.start()
        result, told = speak(proxy.port, recording, on_message=lambda message: begins(message, began))
        thread.join(120)
        proxy.close()
        check(result, told, sessions, undisturbed)
    assert proxy.connections >= 2
    assert lost(told) >= 1


def test_a_line_that_is_reset_again_and_again(
    engine: Engine, recording: Path, undisturbed: Result, tmp_path: Path
) -> None:
    with served(engine, tmp_path) as (server, sessions):
        proxy = BadLine(server.port)
        over = threading.Event()
        resets = 0

        def reset() -> None:
            nonlocal resets
            while not over.wait(1.0) and resets < 6:
                proxy.reset()
                resets += 1

        thread = threading.Thread(target=reset)
        thread.start()
        result, told = speak(proxy.port, recording)
        over.set()
        thread.join(120)
        proxy.close()
        check(result, told, sessions, undisturbed)
    assert resets >= 4
    assert lost(told) >= 3


def test_a_laptop_that_sleeps(engine: Engine, recording: Path, undisturbed: Result, tmp_path: Path) -> None:
    """The client's whole process stands still for longer than a ping may wait, and then goes on."""
    with served(engine, tmp_path, ping_seconds=0.5) as (server, sessions):
        command = [sys.executable, "-m", "openmic", "stream", f"http://127.0.0.1:{server.port}/#token=secret"]
        process = subprocess.Popen(
            [*command, str(recording)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
        )
        try:
            wait_until(lambda: any(one.audio_seconds > 1 for one in sessions.list()))
            process.send_signal(signal.SIGSTOP)
            wait_until(lambda: not sessions.list()[0].attached)
            time.sleep(1.0)
            process.send_signal(signal.SIGCONT)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
            process.communicate()
        assert process.returncode == 0, err
        (session,) = sessions.list()
        assert session.final is not None
        assert session.final.text == undisturbed.text
        assert undisturbed.text.strip() in out


def begins(message: dict[str, Any], event: threading.Event) -> None:
    if message["type"] in ("live", "commit"):
        event.set()

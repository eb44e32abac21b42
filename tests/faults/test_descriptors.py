"""Descriptors run out: strangers open connections and never close them, or the rest of the process takes all files.

The server is a process of its own, with a limit of its own. What it promised goes on: sound is taken and saved, and
sessions are deleted in time; and nobody fills a log.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.sync.client import ClientConnection, connect

from openmic.sessions.recovery import session_folders
from tests.support.scripted_engine import scripted_server
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 120  # descriptors of the server: an idle one has about 12
STRANGERS_SECONDS = 5.0
STRANGERS_A_SECOND = 60
PIECE = b"\1\0" * 1600  # a tenth of a second
FEW_BYTES = 20_000  # of stderr
PATIENCE_SECONDS = 30.0

TAKES_ALL = """
import os, sys, tempfile
from pathlib import Path
from tests.support.scripted_engine import scripted_server

with tempfile.TemporaryDirectory() as folder, scripted_server(Path(folder)) as server:
    print(server.thread.port, flush=True)
    taken = []
    sys.stdin.readline()
    try:
        while True:
            taken.append(os.open(os.devnull, os.O_RDONLY))
    except OSError:
        sys.stdout.write("all\\n")
        sys.stdout.flush()
    sys.stdin.readline()
    for descriptor in taken:
        os.close(descriptor)
    print("none", flush=True)
    sys.stdin.readline()
"""


@dataclass(frozen=True)
class Poor:
    """A server with few descriptors: its process, its port, its folder of recordings, and what it wrote to stderr."""

    process: subprocess.Popen[str]
    port: int
    recordings: Path
    stderr: Path

    @contextmanager
    def stream(self) -> Iterator[ClientConnection]:
        """A stream that has begun."""
        headers = {"Authorization": "Bearer secret"}
        url = f"ws://127.0.0.1:{self.port}/v1/stream"
        with connect(url, additional_headers=headers, proxy=None, open_timeout=30) as one:
            one.send(json.dumps({"type": "start", "encoding": "pcm_s16le", "sample_rate": 16_000}))
            hear(one, "ready")
            yield one

    def health(self) -> str:
        """What ``/healthz`` says."""
        return str(httpx.get(f"http://127.0.0.1:{self.port}/healthz", timeout=20).json()["status"])


def hear(one: ClientConnection, kind: str) -> None:
    while (message := json.loads(one.recv(timeout=PATIENCE_SECONDS)))["type"] != kind:
        assert message["type"] != "error", message


@contextmanager
def running(command: list[str], folder: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    stderr = folder / "stderr"
    with (
        stderr.open("w") as errors,
        subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, LIMIT)),
        ) as process,
    ):
        try:
            yield process, stderr
        finally:
            process.kill()


@pytest.fixture
def poor(tmp_path: Path) -> Iterator[Poor]:
    command = ["-m", "tests.support.scripted_engine", "--port", "0", "--folder", str(tmp_path)]
    with running(command, tmp_path, OPENMIC_KEEP_SECONDS="1", OPENMIC_MAX_SESSIONS="8") as (process, stderr):
        assert process.stdout is not None
        url = process.stdout.readline().partition("/#")[0]
        yield Poor(process, int(url.rpartition(":")[2]), tmp_path / "recordings", stderr)


def knock(port: int) -> socket.socket:
    """The handshake of a page that may not use the server; its connection is never closed by this side."""
    stranger = socket.create_connection(("127.0.0.1", port), timeout=5)
    stranger.sendall(
        b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Origin: http://evil.example\r\n\r\n"
    )
    return stranger


@pytest.mark.slow
def test_strangers_that_never_close_take_nothing_from_anybody(poor: Poor) -> None:
    """Before: the thread that saves died after 4 s, the one that deletes after 12, and 37 MB went to stderr."""
    over, spoken = threading.Event(), [0]
    with poor.stream() as speaker:

        def speak() -> None:
            while not over.wait(0.1):
                speaker.send(PIECE)
                spoken[0] += 1

        thread = threading.Thread(target=speak)
        thread.start()
        strangers: list[socket.socket] = []
        most, end = 0, time.monotonic() + STRANGERS_SECONDS
        while time.monotonic() < end:
            with suppress(OSError):
                strangers.append(knock(poor.port))
            most = max(most, psutil.Process(poor.process.pid).num_fds())
            time.sleep(1 / STRANGERS_A_SECOND)
        assert len(strangers) > LIMIT  # more than there are descriptors
        assert most < LIMIT - 20  # some are left for files, all the time
        for stranger in strangers:
            stranger.close()
        over.set()
        thread.join()
        speaker.send('{"type": "stop"}')
        hear(speaker, "done")
    assert spoken[0] > 10

    with poor.stream() as later:
        later.send(PIECE)
        later.send('{"type": "stop"}')
        hear(later, "done")
    wait_until(lambda: not list(session_folders(poor.recordings)))
    wait_until(lambda: poor.health() == "ok")
    assert poor.stderr.stat().st_size < FEW_BYTES
    assert "Too many open files" not in poor.stderr.read_text()


@pytest.mark.slow
def test_where_no_descriptor_is_left_the_server_waits_and_goes_on(tmp_path: Path) -> None:
    with running(["-c", TAKES_ALL], tmp_path) as (process, stderr):
        assert process.stdin is not None
        assert process.stdout is not None
        port = int(process.stdout.readline())

        def say() -> str:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            return process.stdout.readline()

        assert say() == "all\n"
        watched = psutil.Process(process.pid)
        before = sum(watched.cpu_times()[:2])
        with socket.create_connection(("127.0.0.1", port), timeout=5) as waiting:  # the system takes it in its queue
            waiting.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(3.5)
            assert sum(watched.cpu_times()[:2]) - before < 1.5
            assert say() == "none\n"
            waiting.settimeout(PATIENCE_SECONDS)
            assert waiting.recv(12) == b"HTTP/1.1 200"
        assert stderr.stat().st_size < FEW_BYTES


def test_a_refused_connection_is_soon_closed_whatever_its_peer_does(tmp_path: Path) -> None:
    with scripted_server(tmp_path) as server, knock(server.thread.port) as stranger:
        stranger.settimeout(PATIENCE_SECONDS)
        began, told = time.monotonic(), b""
        with suppress(ConnectionResetError):
            while piece := stranger.recv(4096):
                told += piece
        assert b"origin_not_allowed" in told
        assert time.monotonic() - began < 5


@pytest.mark.slow
def test_the_limit_is_raised_when_a_server_starts_and_not_before(tmp_path: Path) -> None:
    code = """
import resource, sys, tempfile
from pathlib import Path
limit = lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0]
resource.setrlimit(resource.RLIMIT_NOFILE, (200, min(900, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
import openmic.service.service
from tests.support.scripted_engine import scripted_server
before = limit()
with tempfile.TemporaryDirectory() as folder, scripted_server(Path(folder)):
    print(before, limit())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["200", "900"], done.stderr

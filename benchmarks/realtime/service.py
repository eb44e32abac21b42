"""openmic's own server in a process of its own, as a person would start it, and streams against it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import websockets

from benchmarks.corpus.recordings import ROOT
from benchmarks.metrics.display import Display, Shown
from benchmarks.realtime.feed import Exchange, Frame, exchange, pieces_of
from openmic.audio.types import SAMPLE_RATE

START_SECONDS = 600.0  # a machine that is busy with other things takes minutes to load a model
STOP_SECONDS = 40.0
FINAL_SECONDS = 3600.0  # an hour sent many times faster than speech takes a while


@dataclass(frozen=True, slots=True)
class Service:
    """A running server: where it is and its process's number."""

    port: int
    token: str
    pid: int


@dataclass(frozen=True, slots=True)
class Stream:
    """What one client saw.

    Attributes:
        history: its displays.
        audio_end: when its audio was over, in seconds since it began.
        final: the final text; None where none came.
        final_at: when it came.
        refused: the code and the ``retry_after`` of a refusal, in words.
        warnings: the codes that it was told, in order.
    """

    history: tuple[Shown, ...] = ()
    audio_end: float = 0.0
    final: str | None = None
    final_at: float = 0.0
    refused: str | None = None
    warnings: tuple[str, ...] = ()

    @property
    def time_to_final(self) -> float:
        """Seconds from the audio's end to the final message."""
        return self.final_at - self.audio_end


@contextlib.contextmanager
def service(model: str, root: Path = ROOT, **settings: str) -> Iterator[Service]:
    """Start ``openmic serve`` and wait until it is ready; end it afterwards.

    Args:
        model: as on the command line.
        root: of the checkout whose code serves.
        settings: environment variables of further settings, without their prefix.
    """
    port, token = free_port(), secrets.token_urlsafe(24)
    given = {f"OPENMIC_{name.upper()}": value for name, value in settings.items()}
    with tempfile.TemporaryDirectory(prefix="openmic-benchmark-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "openmic", "serve", "--model", model, "--tunnel", "none", "--port", str(port)],
                cwd=root,
                stdout=output,
                stderr=output,
                env=os.environ | {"OPENMIC_TOKEN": token, "OPENMIC_DATA_DIR": folder} | given,
            )
        try:
            wait_until_answered(f"http://127.0.0.1:{port}/healthz", process, log)
            yield Service(port, token, process.pid)
        finally:
            stop(process)


async def stream(service: Service, pcm: bytes, language: str, speed: float = 1.0) -> Stream:
    """Stream 16 kHz PCM to the service and keep what a client would show; a connection that fails is a refusal."""
    try:
        return await _stream(service, pcm, language, speed)
    except (OSError, websockets.WebSocketException) as failure:
        return Stream(refused=" ".join(str(failure).split()) or type(failure).__name__)


async def _stream(service: Service, pcm: bytes, language: str, speed: float) -> Stream:
    url = f"ws://127.0.0.1:{service.port}/v1/stream"
    headers = {"Authorization": f"Bearer {service.token}"}
    async with websockets.connect(
        url, additional_headers=headers, proxy=None, max_size=None, ping_interval=None
    ) as connection:
        start = {"type": "start", "encoding": "pcm_s16le", "sample_rate": SAMPLE_RATE, "channels": 1}
        await connection.send(json.dumps(start | ({"language": language} if language else {})))
        greeting = json.loads(await connection.recv())
        if greeting["type"] != "ready":
            return Stream(refused=refusal(greeting))
        told = await exchange(
            connection, pieces_of(pcm, 2 * SAMPLE_RATE), speed, json.dumps({"type": "stop"}), is_last, FINAL_SECONDS
        )
    return seen(told)


def refusal(message: dict[str, Any]) -> str:
    """A refusal in a few words."""
    after = message.get("retry_after")
    return f"{message.get('code', message['type'])}" + (f", retry_after {after:.0f} s" if after is not None else "")


def is_last(message: Frame) -> bool:
    """Whether the service says nothing of interest after this message."""
    return isinstance(message, str) and json.loads(message)["type"] in ("final", "done")


def seen(told: Exchange) -> Stream:
    """What a client of openmic.v1 shows of these messages."""
    display = Display()
    final, final_at, refused = None, told.audio_end, None
    warnings: list[str] = []
    for at, frame in told.received:
        message = json.loads(frame)
        match message["type"]:
            case "live":
                display.live(at, message["text"])
            case "commit":
                display.commit(at, message["text"])
            case "final":
                final, final_at = message["text"], at
            case "warning":
                warnings.append(message["code"])
            case "error" if message.get("fatal"):
                refused = refusal(message)
    return Stream(tuple(display.history), told.audio_end, final, final_at, refused, tuple(warnings))


def free_port() -> int:
    """A port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_answered(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until an address answers, whatever it says.

    Raises:
        RuntimeError: the process ended, or nobody answered in time; with the end of its log.
    """
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            opener.open(url, timeout=5).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"a server did not start: {log.read_text(errors='replace')[-600:]}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a process to end; end it if it does not."""
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()

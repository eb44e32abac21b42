"""Streaming servers that install from the package index, run as their authors run them on a CPU, with the same weights.

Each is installed into an environment of its own; its server gets the base weights from us, since no hub may be
reachable, and is streamed to over its own protocol. What its own web page would show is its display.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import websockets

from benchmarks.corpus.reading import Reading
from benchmarks.metrics.display import Display
from benchmarks.metrics.report import Row
from benchmarks.peers import faster_whisper_files
from benchmarks.peers.environments import NotInstalled, environment
from benchmarks.realtime.feed import Exchange, exchange, pieces_of
from benchmarks.realtime.rounds import run_round
from benchmarks.realtime.service import FINAL_SECONDS, Stream, free_port, stop, wait_until_answered
from openmic.audio.types import SAMPLE_RATE
from openmic.settings import Settings
from openmic.speech.weights.locate import locate

QUIET_SECONDS = 12.0  # WhisperLive has no final message: what it shows so long after the audio is taken for it


@dataclass(frozen=True, slots=True)
class Peer:
    """How to install, start and talk to a server.

    Attributes:
        title: name and policy.
        environment: the name of its environment, shared where two peers are one program.
        requirements: what pip installs; ``bare``: what it installs without its dependencies.
        command: the server's arguments after Python, from port and language.
        stream: streams a recording's samples to a port.
    """

    title: str
    environment: str
    requirements: tuple[str, ...]
    command: Callable[[int, str], list[str]]
    stream: Callable[[int, Reading, str], Awaitable[Stream]]
    bare: tuple[str, ...] = ()

    def run(self, reading: Reading, language: str, plain_cost: float | None, sessions: int = 1) -> Row:
        """Measure it; a row that says why where it does not run."""
        try:
            python = environment(self.environment, self.requirements, self.bare)
            return self._run(python, reading, language, plain_cost, sessions)
        except (NotInstalled, RuntimeError, OSError, websockets.WebSocketException) as failure:
            return Row(self.title, note=f"does not run here: {' '.join(str(failure).split())[-300:]}")

    def _run(self, python: Path, reading: Reading, language: str, plain_cost: float | None, sessions: int) -> Row:
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="benchmark-peer-") as folder:
            log = Path(folder) / "log"
            with log.open("wb") as output:
                process = subprocess.Popen(
                    [str(python), *self.command(port, language)],
                    cwd=folder,
                    stdout=output,
                    stderr=output,
                    env=os.environ | {"HF_HUB_OFFLINE": "1"},
                )
            try:
                wait_until_answered(f"http://127.0.0.1:{port}/", process, log)
                return run_round(
                    self.title, reading, sessions, lambda: self.stream(port, reading, language), process.pid, plain_cost
                )
            finally:
                stop(process)


def whisperlivekit(policy: str, backend: str) -> Callable[[int, str], list[str]]:
    """WhisperLiveKit's command line."""

    def command(port: int, language: str) -> list[str]:
        ours = backend == "whisper"
        weights = locate("base", Settings().cache_dir) if ours else faster_whisper_files.folder()
        return [
            "-m",
            "whisperlivekit.basic_server",
            *("--host", "127.0.0.1", "--port", str(port), "--pcm-input"),
            *("--backend-policy", policy, "--backend", backend, "--model-path", str(weights)),
            *("--language", language or "auto", "--warmup-file", ""),
        ]

    return command


async def stream_to_whisperlivekit(port: int, reading: Reading, language: str) -> Stream:
    """16-bit PCM in; whole displays out; an empty message ends the audio, ``ready_to_stop`` the stream."""
    async with websockets.connect(
        f"ws://127.0.0.1:{port}/asr", proxy=None, max_size=None, ping_interval=None
    ) as socket:
        told = await exchange(
            socket,
            pieces_of(reading.pcm(), 2 * SAMPLE_RATE),
            1.0,
            b"",
            lambda frame: json.loads(frame).get("type") == "ready_to_stop",
            FINAL_SECONDS,
        )
    display = Display()
    over_at = told.audio_end
    for at, frame in told.received:
        message = json.loads(frame)
        over_at = at
        if "lines" in message:
            lines = [line["text"] for line in message["lines"] if line["text"]]
            display.replace(at, " ".join([*lines, message["buffer_transcription"]]))
    return _ended(display, told, over_at)


def whisper_live(port: int, language: str) -> list[str]:
    """WhisperLive's server; its package has no command line."""
    options = f"'127.0.0.1', port={port}, backend='faster_whisper', max_clients=64"
    model = f"faster_whisper_custom_model_path={str(faster_whisper_files.folder())!r}"
    code = f"from whisper_live.server import TranscriptionServer; TranscriptionServer().run({options}, {model})"
    return ["-c", code]


async def stream_to_whisper_live(port: int, reading: Reading, language: str) -> Stream:
    """Float samples in; the last segments out, of which the completed ones stay."""
    async with websockets.connect(f"ws://127.0.0.1:{port}", proxy=None, max_size=None, ping_interval=None) as socket:
        options = {"uid": str(uuid.uuid4()), "language": language or None, "task": "transcribe", "model": "base"}
        await socket.send(json.dumps(options | {"use_vad": True}))
        while json.loads(await socket.recv()).get("message") != "SERVER_READY":
            pass
        samples = reading.samples.astype("<f4").tobytes()
        told = await exchange(
            socket, pieces_of(samples, 4 * SAMPLE_RATE), 1.0, None, lambda frame: False, QUIET_SECONDS
        )
    display = Display()
    completed: list[dict[str, str]] = []
    changed_at = told.audio_end
    for at, frame in told.received:
        before = display.text
        segments = json.loads(frame).get("segments") or []
        for segment in segments:
            if segment["completed"] and (not completed or float(segment["start"]) >= float(completed[-1]["end"])):
                completed.append(segment)
        tail = segments[-1]["text"] if segments and not segments[-1]["completed"] else ""
        display.replace(at, " ".join([*(segment["text"] for segment in completed), tail]))
        if display.text != before:
            changed_at = max(at, told.audio_end)
    return _ended(display, told, changed_at)


def _ended(display: Display, told: Exchange, final_at: float) -> Stream:
    """A stream whose last display is its final text."""
    return Stream(tuple(display.history), told.audio_end, display.text, final_at)


# WhisperLive pins packages that its server does not use and that no machine without a sound card's headers can build.
WHISPER_LIVE_SERVER: Sequence[str] = (
    "faster-whisper==1.2.0",
    "torch==2.13.0",
    "torchaudio",
    "websockets",
    "onnxruntime",
    "scipy",
    "numba",
    "openai-whisper==20250625",
    "kaldialign",
    "soundfile",
    "numpy<2.5",
    "fastapi",
    "uvicorn",
    "python-multipart",
)

PEERS = {
    "whisperlivekit-localagreement": Peer(
        "WhisperLiveKit 0.2.26, LocalAgreement",
        "whisperlivekit",
        ("whisperlivekit==0.2.26", "faster-whisper==1.2.1"),
        whisperlivekit("localagreement", "faster-whisper"),
        stream_to_whisperlivekit,
    ),
    "whisperlivekit-simulstreaming": Peer(
        "WhisperLiveKit 0.2.26, SimulStreaming",
        "whisperlivekit",
        ("whisperlivekit==0.2.26", "faster-whisper==1.2.1"),
        whisperlivekit("simulstreaming", "whisper"),
        stream_to_whisperlivekit,
    ),
    "whisper-live": Peer(
        "WhisperLive 0.10.0",
        "whisper-live",
        tuple(WHISPER_LIVE_SERVER),
        whisper_live,
        stream_to_whisper_live,
        bare=("whisper-live==0.10.0",),
    ),
}

"""The wires that openmic speaks, as plain WebSocket clients: what each sends, and what its messages bring."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import websockets
from websockets.asyncio.client import ClientConnection

from openmic.audio.types import SAMPLE_RATE, Samples

Json = dict[str, Any]
REALTIME_RATE = 24_000  # Hz, the only one that OpenAI's PCM has
HELLO_SECONDS = 30.0


@dataclass(frozen=True)
class Wire:
    """One of them.

    Attributes:
        name: for people.
        path: of its address, with what its query says about 16 kHz PCM in English.
        words: the text that a message brings; it may repeat what others brought.
        committed: the part of it that no later message takes back.
        ends: whether a message says that an utterance is over.
        flush: has the utterance end now.
        stop: says that no more audio comes; None: the client closes.
        hello: sent first.
        ready: the type of the message after which audio may come; None: nothing is said.
        scheme: what stands in front of the token.
        encode: samples as a message.
    """

    name: str
    path: str
    words: Callable[[Json], str]
    committed: Callable[[Json], str]
    ends: Callable[[Json], bool]
    flush: str
    stop: str | None
    hello: str | None = None
    ready: str | None = None
    scheme: str = "Bearer "
    encode: Callable[[Samples], str | bytes] = lambda samples: pcm(samples)


def pcm(samples: Samples) -> bytes:
    """16-bit little-endian samples."""
    return (samples * 32767.0).round().clip(-32768, 32767).astype("<i2").tobytes()


def native(endpoint_silence_seconds: float) -> Wire:
    """``/v1/stream``."""
    start = {"type": "start", "encoding": "pcm_s16le", "sample_rate": SAMPLE_RATE, "channels": 1, "language": "en"}
    return Wire(
        "native",
        "/v1/stream",
        lambda message: _text(message, "text", "live", "commit"),
        lambda message: _text(message, "text", "commit"),
        lambda message: message["type"] == "utterance",
        '{"type": "flush"}',
        '{"type": "stop"}',
        json.dumps(start | {"endpoint_silence_seconds": endpoint_silence_seconds}),
        "ready",
    )


def openai_realtime(endpoint_silence_seconds: float) -> Wire:
    """``/v1/realtime``; it has no live text, and turns are found by the server."""
    turns = {"type": "server_vad", "silence_duration_ms": round(1000 * endpoint_silence_seconds)}
    heard = {
        "format": {"type": "audio/pcm", "rate": REALTIME_RATE},
        "transcription": {"model": "whisper-1", "language": "en"},
        "turn_detection": turns,
    }
    update = {"type": "session.update", "session": {"type": "transcription", "audio": {"input": heard}}}
    kind = "conversation.item.input_audio_transcription."
    return Wire(
        "OpenAI Realtime",
        "/v1/realtime?intent=transcription",
        lambda message: _text(message, "delta", f"{kind}delta"),
        lambda message: _text(message, "delta", f"{kind}delta"),
        lambda message: message["type"] == f"{kind}completed",
        '{"type": "input_audio_buffer.commit"}',
        None,
        json.dumps(update),
        "session.updated",
        encode=_append,
    )


def deepgram(endpoint_silence_seconds: float) -> Wire:
    """``/v1/listen``, interim results and all."""

    def transcript(message: Json) -> str:
        return str(message["channel"]["alternatives"][0]["transcript"]) if message["type"] == "Results" else ""

    silence = f"&endpointing={round(1000 * endpoint_silence_seconds)}"
    return Wire(
        "Deepgram v1",
        f"/v1/listen?model=nova-3&encoding=linear16&sample_rate={SAMPLE_RATE}&language=en&interim_results=true{silence}",
        transcript,
        lambda message: transcript(message) if message.get("is_final") else "",
        lambda message: message.get("speech_final") is True,
        '{"type": "Finalize"}',
        '{"type": "CloseStream"}',
        scheme="Token ",
    )


def flux(endpoint_silence_seconds: float) -> Wire:
    """``/v2/listen``."""
    timeout = f"&eot_timeout_ms={round(1000 * endpoint_silence_seconds)}"
    return Wire(
        "Deepgram v2 (Flux)",
        f"/v2/listen?model=flux-general-en&encoding=linear16&sample_rate={SAMPLE_RATE}{timeout}",
        lambda message: _text(message, "transcript", "TurnInfo"),
        lambda message: str(message["transcript"]) if message.get("event") == "EndOfTurn" else "",
        lambda message: message.get("event") == "EndOfTurn",
        '{"type": "ForceEndTurn"}',
        '{"type": "CloseStream"}',
        ready="Connected",
        scheme="Token ",
    )


def assemblyai(endpoint_silence_seconds: float) -> Wire:
    """``/v3/ws``."""
    silence = f"&max_turn_silence={round(1000 * endpoint_silence_seconds)}"
    return Wire(
        "AssemblyAI v3",
        f"/v3/ws?encoding=pcm_s16le&sample_rate={SAMPLE_RATE}&language=en{silence}",
        lambda message: _text(message, "transcript", "Turn"),
        lambda message: str(message["transcript"]) if message.get("end_of_turn") else "",
        lambda message: message.get("end_of_turn") is True,
        '{"type": "ForceEndpoint"}',
        '{"type": "Terminate"}',
        ready="Begin",
        scheme="",
    )


def soniox(endpoint_silence_seconds: float) -> Wire:
    """``/transcribe-websocket``."""

    def text(message: Json, *, final: bool) -> str:
        tokens = [token for token in message["tokens"] if token["is_final"] or not final]
        return "".join(token["text"] for token in tokens if token["text"] not in ("<end>", "<fin>"))

    config = {
        "model": "stt-rt-v4",
        "audio_format": "pcm_s16le",
        "sample_rate": SAMPLE_RATE,
        "num_channels": 1,
        "language_hints": ["en"],
        "enable_endpoint_detection": True,
        "max_endpoint_delay_ms": round(1000 * endpoint_silence_seconds),
    }
    return Wire(
        "Soniox",
        "/transcribe-websocket",
        lambda message: text(message, final=False),
        lambda message: text(message, final=True),
        lambda message: any(token["text"] in ("<end>", "<fin>") for token in message["tokens"]),
        '{"type": "finalize"}',
        "",
        json.dumps(config),
    )


WIRES = (native, openai_realtime, deepgram, flux, assemblyai, soniox)


@asynccontextmanager
async def connected(wire: Wire, port: int, token: str) -> AsyncIterator[ClientConnection]:
    """A connection to a server on this machine that takes audio now."""
    async with websockets.connect(
        f"ws://127.0.0.1:{port}{wire.path}",
        additional_headers={"Authorization": f"{wire.scheme}{token}"},
        proxy=None,
        max_size=None,
        ping_interval=None,
        compression=None,
    ) as connection:
        if wire.hello is not None:
            await connection.send(wire.hello)
        async with asyncio.timeout(HELLO_SECONDS):
            while wire.ready is not None and json.loads(await connection.recv())["type"] != wire.ready:
                pass
        yield connection


async def feed(
    connection: ClientConnection,
    wire: Wire,
    samples: Samples,
    piece_seconds: float,
    *,
    began: float,
    speed: float = 1.0,
    flush_at_seconds: float | None = None,
) -> None:
    """Send samples, each piece when its last one would have been spoken.

    Args:
        connection: that takes audio.
        wire: how it is told.
        samples: all of them.
        piece_seconds: of samples in one message.
        began: when the first of them would have been spoken, by ``time.monotonic``.
        speed: how many times faster than speech.
        flush_at_seconds: behind the piece with this moment of the audio ``flush`` is sent; None: never.
    """
    size = round(piece_seconds * SAMPLE_RATE)
    for place in range(0, len(samples), size):
        piece = samples[place : place + size]
        seconds = (place + len(piece)) / SAMPLE_RATE
        await asyncio.sleep(max(0.0, began + seconds / speed - time.monotonic()))
        await connection.send(wire.encode(piece))
        if flush_at_seconds is not None and seconds >= flush_at_seconds:
            flush_at_seconds = None
            await connection.send(wire.flush)


def _text(message: Json, field: str, *types: str) -> str:
    return str(message[field]) if message["type"] in types else ""


def _append(samples: Samples) -> str:
    times = np.arange(round(len(samples) * REALTIME_RATE / SAMPLE_RATE)) * (SAMPLE_RATE / REALTIME_RATE)
    faster = np.interp(times, np.arange(len(samples)), samples).astype(np.float32)
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm(faster)).decode()})

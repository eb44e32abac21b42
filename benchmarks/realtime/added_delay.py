"""What a dialect adds to a word: from the engine's event to the client that has parsed the message with that word.

The real server, in a process of its own, over an engine that follows a script: it says a word for each second of audio
and computes nothing, so that the way of a word through the session, the dialect and the socket is all that is measured,
and all dialects hear the same words at the same pace. Both processes read one clock (``time.monotonic``).
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import secrets
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import websockets
from websockets.asyncio.client import ClientConnection

from benchmarks.realtime.wires import Json, Wire, connected, feed, native, pcm
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.sessions.types import SpeechOptions
from openmic.speech.types import CommittedText, FinalText, FinalWindow, OnEvent, Recording, SpeechEvent, SpeechStream
from tests.support.scripted_engine import ScriptedEngine, scripted_server

PIECE_SECONDS = 0.2
WARM_UP_WORDS = 5  # not counted
SILENCE_SECONDS = 0.6
SPARE_SECONDS = 2  # of audio behind the last word: resampled audio is a little shorter
LAST_WORDS_SECONDS = 60.0
LOOK_SECONDS = 0.02
OPEN_SECONDS = 30.0
FINAL = "final"
ROOMY = {
    "max_sessions": 10_000,
    "max_starts_per_minute": 100_000,
    "dialects": "openai deepgram assemblyai soniox wyoming",
}


class TimedEngine(ScriptedEngine):
    """The scripted engine; ``told`` has, for each stream in the order of their opening, when it said which word."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[dict[str, float]] = []

    def open(
        self,
        recording: Recording,
        options: SpeechOptions,
        on_event: OnEvent,
        said: Sequence[CommittedText] = (),
        walked: Sequence[FinalWindow] = (),
    ) -> SpeechStream:
        """See ``Engine.open``."""
        told: dict[str, float] = {}
        self.told.append(told)

        def tell(event: SpeechEvent) -> None:
            if isinstance(event, CommittedText):
                told[event.text.strip()] = time.monotonic()
            elif isinstance(event, FinalText):
                told[FINAL] = time.monotonic()
            on_event(event)

        return super().open(recording, options, tell, said, walked)


class TimedServer:
    """The server's process, seen from here: its ports, and what its engine has told."""

    def __init__(self, line: Connection, token: str) -> None:
        self._line = line
        self.token = token
        self.port, self.wyoming_port = line.recv()

    def streams(self) -> int:
        """How many were opened."""
        self._line.send("streams")
        return int(self._line.recv())

    def told(self) -> list[dict[str, float]]:
        """See ``TimedEngine``."""
        self._line.send("told")
        answer: list[dict[str, float]] = self._line.recv()
        return answer


@contextmanager
def timed_server() -> Iterator[TimedServer]:
    """Start it; end it afterwards."""
    token = secrets.token_urlsafe(24)
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there, token))
    process.start()
    there.close()
    try:
        yield TimedServer(here, token)
    finally:
        here.close()
        process.join()


@dataclass
class Heard:
    """What one client was told.

    Attributes:
        name: of the wire.
        at: when a word was first there, by ``time.monotonic``.
        delays: of the words, or finals, that count, in seconds.
    """

    name: str
    at: dict[str, float] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)

    def over(self, other: Heard) -> list[float]:
        """How much later each word was than on another wire."""
        return [ours - theirs for ours, theirs in zip(self.delays, other.delays, strict=True)]


async def word_delays(
    server: TimedServer, wires: Sequence[Wire], samples: Samples, words: int, speed: float
) -> list[Heard]:
    """Feed all wires with the same audio at once, each a little after the one before it.

    Args:
        server: that runs.
        wires: in the order of the answer.
        samples: repeated until there are ``words`` seconds of it.
        words: that are counted, behind a few that are not.
        speed: how many times faster than speech.
    """
    audio = np.resize(samples, (words + WARM_UP_WORDS + SPARE_SECONDS) * SAMPLE_RATE)
    heard = [Heard(wire.name) for wire in wires]
    first = round(PIECE_SECONDS * SAMPLE_RATE)
    async with AsyncExitStack() as stack:
        connections = []
        for number, wire in enumerate(wires):
            connection = await stack.enter_async_context(connected(wire, server.port, server.token))
            connections.append(connection)
            await connection.send(wire.encode(audio[:first]))
            await _opened(server, number + 1)  # so that the engine's streams have the order of the wires
        listening = [
            asyncio.create_task(_listen(connection, wire, one))
            for connection, wire, one in zip(connections, wires, heard, strict=True)
        ]
        feeding = []
        for connection, wire in zip(connections, wires, strict=True):
            began = time.monotonic()
            sending = feed(connection, wire, audio[first:], PIECE_SECONDS, began=began, speed=speed)
            feeding.append(asyncio.create_task(sending))
            await asyncio.sleep(1 / speed / len(wires))  # nobody's word is on its way while another's is
        await asyncio.gather(*feeding)
        counted = await _words(server, heard, words)
        for task in listening:
            task.cancel()
        await asyncio.gather(*listening, return_exceptions=True)
    for one, said in zip(heard, counted, strict=True):
        one.delays = [one.at[word] - at for word, at in said.items()]
    return heard


async def final_delays(server: TimedServer, count: int) -> tuple[Heard, Heard]:
    """Commands of a second, in turns on the native socket and on Wyoming, which has no word before the transcript."""
    second = pcm((np.sin(np.arange(SAMPLE_RATE) / 10) * 0.25).astype(np.float32))
    ours, theirs = Heard("native, final"), Heard("Wyoming, transcript")
    for _ in range(count + WARM_UP_WORDS):
        for one, ask in ((ours, _native_command), (theirs, _wyoming_command)):
            at = await ask(server, second)
            one.delays.append(at - server.told()[-1][FINAL])
    for one in (ours, theirs):
        del one.delays[:WARM_UP_WORDS]
    return ours, theirs


async def _native_command(server: TimedServer, audio: bytes) -> float:
    wire = native(SILENCE_SECONDS)
    async with connected(wire, server.port, server.token) as connection:
        await connection.send(audio)
        await connection.send(wire.stop or "")
        async for message in connection:
            if json.loads(message)["type"] == "final":
                return time.monotonic()
    raise RuntimeError("the native socket was closed before the final")


async def _wyoming_command(server: TimedServer, audio: bytes) -> float:
    shape = {"rate": SAMPLE_RATE, "width": 2, "channels": 1}
    events: list[Json] = [
        {"type": "transcribe", "data": {"language": "en"}},
        {"type": "audio-start", "data": shape},
        {"type": "audio-chunk", "data": shape, "payload_length": len(audio)},
    ]
    reader, writer = await asyncio.open_connection("127.0.0.1", server.wyoming_port)
    try:
        for event in events:
            writer.write(json.dumps(event).encode() + b"\n")
        writer.write(audio + b'{"type": "audio-stop"}\n')
        head = json.loads(await reader.readline())
        json.loads(await reader.readexactly(head.get("data_length", 0)) or b"{}")
        at = time.monotonic()
    finally:
        writer.close()
    if head["type"] != "transcript":
        raise RuntimeError(f"Wyoming's answer was {head}")
    return at


async def _words(server: TimedServer, heard: Sequence[Heard], words: int) -> list[dict[str, float]]:
    """When the words that count were said, for each client, once all have heard them."""
    for _ in range(round(LAST_WORDS_SECONDS / LOOK_SECONDS)):
        told = server.told()[: len(heard)]
        counted = [dict(list(said.items())[WARM_UP_WORDS : WARM_UP_WORDS + words]) for said in told]
        late = [one.name for one, said in zip(heard, counted, strict=True) if len(said) < words or said.keys() - one.at]
        if not late:
            return counted
        await asyncio.sleep(LOOK_SECONDS)
    raise RuntimeError(f"not all {words} words came over {', '.join(late)}")


async def _opened(server: TimedServer, streams: int) -> None:
    for _ in range(round(OPEN_SECONDS / LOOK_SECONDS)):
        if server.streams() >= streams:
            return
        await asyncio.sleep(LOOK_SECONDS)
    raise RuntimeError(f"stream {streams} was not opened within {OPEN_SECONDS:.0f} s")


async def _listen(connection: ClientConnection, wire: Wire, heard: Heard) -> None:
    """Note when each word is first there."""
    try:
        async for frame in connection:
            message: Json = json.loads(frame)
            at = time.monotonic()
            for word in wire.words(message).split():
                heard.at.setdefault(word, at)
    except websockets.ConnectionClosed:
        return


def _serve(line: Connection, token: str) -> None:
    """The server's process: answers until nobody asks any more."""
    engine = TimedEngine()
    settings: dict[str, Any] = ROOMY | {"wyoming_port": 0}
    with (
        tempfile.TemporaryDirectory() as folder,
        scripted_server(Path(folder), engine=engine, token=token, **settings) as server,
    ):
        (wyoming,) = server.thread._app.state.listeners
        line.send((server.thread.port, wyoming.port))
        try:
            while True:
                question = line.recv()
                line.send(len(engine.told) if question == "streams" else engine.told)
        except EOFError:
            return

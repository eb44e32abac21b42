"""The package ``wyoming``, unmodified, as Home Assistant uses it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import numpy as np
import pytest
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.event import Event
from wyoming.info import Describe, Info
from wyoming.ping import Ping, Pong

from tests.support.scripted_engine import ScriptedServer, scripted_server
from tests.support.waiting import wait_until

WAIT_SECONDS = 120


def tone(seconds: float) -> bytes:
    return (np.sin(np.arange(round(16_000 * seconds)) / 10) * 8000).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    folder = tmp_path_factory.mktemp("wyoming")
    with scripted_server(folder, dialects="wyoming", wyoming_port=0, max_sessions=3) as running:
        yield running


def client(server: ScriptedServer) -> AsyncTcpClient:
    (listener,) = server.thread._app.state.listeners
    return AsyncTcpClient("127.0.0.1", listener.port)


async def answer(one: AsyncTcpClient) -> Event:
    async with asyncio.timeout(WAIT_SECONDS):
        event = await one.read_event()
    assert event is not None
    return event


def test_it_says_what_there_is(server: ScriptedServer) -> None:
    async def run() -> None:
        async with client(server) as one:
            await one.write_event(Describe().event())
            info = Info.from_event(await answer(one))
            await one.write_event(Ping(text="there?").event())
            assert Pong.from_event(await answer(one)).text == "there?"
        (program,) = info.asr
        (model,) = program.models
        assert (program.installed, model.installed, model.name) == (True, True, "scripted")
        assert {"en", "tr"} <= set(model.languages)

    asyncio.run(run())


def test_one_command_after_the_other(server: ScriptedServer) -> None:
    async def run() -> list[str]:
        texts = []
        async with client(server) as one:
            for seconds in (1.5, 0.5):
                await one.write_event(Transcribe(language="en-US").event())
                await one.write_event(AudioStart(rate=16_000, width=2, channels=1).event())
                data = tone(seconds)
                for at in range(0, len(data), 3200):
                    chunk = AudioChunk(rate=16_000, width=2, channels=1, audio=data[at : at + 3200])
                    await one.write_event(chunk.event())
                await one.write_event(AudioStop().event())
                texts.append(Transcript.from_event(await answer(one)).text)
        return texts

    assert asyncio.run(run()) == ["heard 1.5 seconds", "heard 0.5 seconds"]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (AudioStart(rate=16_000, width=3, channels=1).event(), "not_offered"),
        (AudioStart(rate=1, width=2, channels=1).event(), "audio_rate_invalid"),
        (Transcribe(language="klingon").event(), "unknown_language"),
    ],
)
def test_what_cannot_be_done_is_told(server: ScriptedServer, event: Event, code: str) -> None:
    async def run() -> Error:
        async with client(server) as one:
            await one.write_event(event)
            return Error.from_event(await answer(one))

    assert asyncio.run(run()).code == code


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"no json\n", "bad_json"),
        (json.dumps({"type": "audio-chunk", "payload_length": 1 << 40}).encode() + b"\n", "message_too_large"),
        (json.dumps({"type": "audio-chunk", "payload_length": -1}).encode() + b"\n", "bad_json"),
        (b"x" * 70_000, "message_too_large"),
    ],
)
def test_what_is_no_event_ends_the_connection(server: ScriptedServer, sent: bytes, code: str) -> None:
    async def run() -> bytes:
        (listener,) = server.thread._app.state.listeners
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(sent)
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                return await reader.read()
        finally:
            writer.close()

    assert code.encode() in asyncio.run(run())


def test_a_client_that_hangs_up_ends_its_session(server: ScriptedServer) -> None:
    before = {snapshot.id for snapshot in server.sessions.list()}

    async def run() -> None:
        async with client(server) as one:
            await one.write_event(AudioStart(rate=16_000, width=2, channels=1).event())
            await one.write_event(AudioChunk(rate=16_000, width=2, channels=1, audio=tone(0.5)).event())
            await asyncio.to_thread(wait_until, lambda: {one.id for one in server.sessions.list()} - before)

    asyncio.run(run())
    (left,) = {snapshot.id for snapshot in server.sessions.list()} - before
    assert server.sessions.get(left).ended.wait(WAIT_SECONDS)


def test_it_is_off_by_default(tmp_path_factory: pytest.TempPathFactory) -> None:
    with scripted_server(tmp_path_factory.mktemp("off")) as running:
        assert running.thread._app.state.listeners == []

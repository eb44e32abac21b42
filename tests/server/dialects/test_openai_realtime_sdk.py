"""OpenAI's own SDK, unmodified, on ``/v1/realtime``."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from typing import Any

import openai
import pytest
from openai.types.realtime import ConversationItemInputAudioTranscriptionCompletedEvent
from pydantic import TypeAdapter
from websockets.exceptions import InvalidStatus

from tests.support.realtime import tone
from tests.support.scripted_engine import ScriptedServer, scripted_server

GA = {"type": "transcription", "audio": {"input": {"transcription": {"language": "en"}, "turn_detection": None}}}
BETA = {"input_audio_format": "pcm16", "input_audio_transcription": {"language": "en"}, "turn_detection": None}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("realtime")) as running:
        yield running


def sdk(server: ScriptedServer, token: str | None = None) -> openai.AsyncOpenAI:
    """As a program has it that knows the address and the key, and the beta's address of WebSockets beside them."""
    sockets = server.url.replace("http:", "ws:")
    return openai.AsyncOpenAI(
        base_url=f"{server.url}/v1", websocket_base_url=f"{sockets}/v1", api_key=token or server.token, max_retries=0
    )


async def told(connection: Any) -> AsyncIterator[Any]:
    """All events up to the end of a turn."""
    async with asyncio.timeout(120):
        async for event in connection:
            yield event
            if event.type == "conversation.item.input_audio_transcription.completed":
                return


async def speak(connection: Any) -> list[Any]:
    for _ in range(2):
        await connection.input_audio_buffer.append(audio=base64.b64encode(tone(1.0)).decode())
    await connection.input_audio_buffer.commit()
    return [event async for event in told(connection)]


def check(events: list[Any], prefix: str) -> None:
    assert [event.type for event in events[:2]] == [f"{prefix}.created", f"{prefix}.updated"]
    deltas = [event.delta for event in events if event.type.endswith("transcription.delta")]
    assert "".join(deltas) == events[-1].transcript == "one two"
    assert len({event.event_id for event in events}) == len(events)
    assert not [event for event in events if event.type == "error"]


def test_ga(server: ScriptedServer) -> None:
    async def run() -> list[Any]:
        how: dict[str, Any] = {"model": "gpt-4o-transcribe", "extra_query": {"intent": "transcription"}}
        async with sdk(server) as client, client.realtime.connect(**how) as connection:
            await connection.session.update(session=GA)  # type: ignore[arg-type]
            return await speak(connection)

    events = asyncio.run(run())
    check(events, "session")
    completed = events[-1]
    assert isinstance(completed, ConversationItemInputAudioTranscriptionCompletedEvent)
    strict = TypeAdapter(ConversationItemInputAudioTranscriptionCompletedEvent)
    strict.validate_python(completed.model_dump(), strict=True)  # the SDK itself takes any type
    assert completed.usage.type == "duration"


def test_beta(server: ScriptedServer) -> None:
    async def run() -> list[Any]:
        async with sdk(server) as client, client.beta.realtime.connect(model="gpt-4o-transcribe") as connection:
            await connection.send({"type": "transcription_session.update", "session": BETA})  # type: ignore[arg-type]
            return await speak(connection)

    check(asyncio.run(run()), "transcription_session")


def test_a_wrong_key_is_refused_in_the_handshake(server: ScriptedServer) -> None:
    async def run() -> None:
        async with sdk(server, "wrong") as client, client.realtime.connect(model="gpt-4o-transcribe"):
            pass

    with pytest.raises(InvalidStatus) as caught:
        asyncio.run(run())
    assert caught.value.response.status_code == 401

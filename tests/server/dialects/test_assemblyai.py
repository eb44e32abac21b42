"""AssemblyAI's own SDK, unmodified, on ``/v3/ws``, message by message."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from assemblyai.streaming.v3 import (
    BeginEvent,
    StreamingClient,
    StreamingClientOptions,
    StreamingError,
    StreamingEvents,
    StreamingParameters,
    TerminationEvent,
    TurnEvent,
)
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.running import running
from tests.support.scripted_engine import ScriptedServer, scripted_server

WAIT_SECONDS = 120


def tone(seconds: float) -> bytes:
    return (np.sin(np.arange(round(16_000 * seconds)) / 10) * 8000).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("assemblyai"), max_sessions=50) as running:
        yield running


class Heard:
    """A client of the SDK, and what it was told."""

    def __init__(self, server: ScriptedServer, token: str = "secret") -> None:
        host = server.url.replace("http", "ws")
        self.client = StreamingClient(
            StreamingClientOptions(api_host=host, api_key=token, terminate_timeout=WAIT_SECONDS)
        )
        self.events: list[Any] = []
        self._news = threading.Condition()
        for kind in (
            StreamingEvents.Begin,
            StreamingEvents.Turn,
            StreamingEvents.SpeechStarted,
            StreamingEvents.Termination,
            StreamingEvents.Error,
        ):
            self.client.on(kind, self._hear)

    def _hear(self, _: Any, event: Any) -> None:
        with self._news:
            self.events.append(event)
            self._news.notify_all()

    def until(self, told: Callable[[Any], bool]) -> Any:
        with self._news:
            assert self._news.wait_for(lambda: any(told(event) for event in self.events), WAIT_SECONDS)
            return next(event for event in self.events if told(event))

    def turns(self, *, ended: bool) -> list[TurnEvent]:
        return [event for event in self.events if isinstance(event, TurnEvent) and event.end_of_turn is ended]


def parameters(**chosen: Any) -> StreamingParameters:
    """What the SDK asks for; its types name all fields but those with `default=` as required."""
    return StreamingParameters(**chosen)


@pytest.mark.parametrize("formatted", [True, False])
def test_a_stream_message_by_message(server: ScriptedServer, formatted: bool) -> None:
    heard = Heard(server)
    heard.client.connect(parameters(sample_rate=16_000, format_turns=formatted, max_turn_silence=1200))
    begun = heard.until(lambda event: isinstance(event, BeginEvent))
    heard.client.stream(tone(1.5))
    heard.until(lambda event: isinstance(event, TurnEvent) and len(event.words) == 2)
    heard.client.force_endpoint()
    heard.until(lambda event: isinstance(event, TurnEvent) and event.end_of_turn)
    heard.client.force_endpoint()  # nothing is open: no answer
    heard.client.stream(tone(0.7))
    heard.client.disconnect(terminate=True)
    assert not [event for event in heard.events if isinstance(event, StreamingError)]
    marks = [(turn.turn_order, turn.transcript, turn.turn_is_formatted) for turn in heard.turns(ended=True)]
    wanted = [(0, "one two", False), (0, "one two", True), (1, "three", False), (1, "three", True)]
    assert marks == [mark for mark in wanted if formatted or not mark[2]]
    for turn in heard.turns(ended=True):
        assert turn.end_of_turn_confidence == 1.0
        assert all(word.word_is_final for word in turn.words)
    first = heard.turns(ended=True)[0]
    assert [(word.text, word.start, word.end) for word in first.words] == [("one", 0, 1000), ("two", 1000, 1500)]
    partial = next(turn for turn in heard.turns(ended=False) if len(turn.words) == 2)
    assert partial.transcript == "one"
    assert [word.word_is_final for word in partial.words] == [True, False]
    (ending,) = [event for event in heard.events if isinstance(event, TerminationEvent)]
    assert ending.audio_duration_seconds == 2
    session_id, _, resume_token = begun.id.partition(".")
    session = server.sessions.get(session_id)
    assert session.ended.wait(WAIT_SECONDS)
    kept = httpx.get(
        f"{server.url}/v1/sessions/{session_id}.json",
        headers={"Authorization": f"Bearer {resume_token}"},
        timeout=WAIT_SECONDS,
    )
    assert kept.json()["text"].strip() == "heard 2.2 seconds"


def test_a_wrong_token_is_told(server: ScriptedServer) -> None:
    heard = Heard(server, "wrong")
    heard.client.connect(parameters(sample_rate=16_000))
    assert heard.until(lambda event: isinstance(event, StreamingError)).code == 401
    heard.client.disconnect()


@pytest.mark.parametrize(
    ("query", "code", "said"),
    [
        ("sample_rate=16000&redact_pii=True", 3006, "redact_pii"),
        ("sample_rate=16000&webhook_url=https://elsewhere.example", 3006, "webhook_url"),
        ("sample_rate=16000&encoding=opus", 3006, "pcm_mulaw"),
        ("sample_rate=16000&language_code=klingon", 3006, "klingon"),
        ("encoding=pcm_s16le", 3006, "rate"),
        ("encoding=aac", 3007, "audio"),
    ],
)
def test_what_cannot_be_done_is_refused(server: ScriptedServer, query: str, code: int, said: str) -> None:
    address = server.stream_url.replace("/v1/stream", f"/v3/ws?{query}")
    with connect(address, additional_headers={"Authorization": "secret"}, open_timeout=WAIT_SECONDS) as socket:
        message = json.loads(socket.recv(WAIT_SECONDS))
        if message["type"] == "Begin":
            socket.send(b"Dear Sir or Madam, " * 5000)
            message = json.loads(socket.recv(WAIT_SECONDS))
        assert (message["type"], message["error_code"]) == ("Error", code)
        assert said in message["error"]
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(WAIT_SECONDS)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code


def test_a_turns_silence_can_be_changed(server: ScriptedServer) -> None:
    address = server.stream_url.replace("/v1/stream", "/v3/ws?sample_rate=16000&language_codes=%5B%22en%22%5D")
    with connect(address, additional_headers={"Authorization": "secret"}, open_timeout=WAIT_SECONDS) as socket:
        session = server.sessions.get(json.loads(socket.recv(WAIT_SECONDS))["id"].partition(".")[0])
        assert session.options.language == "en"
        socket.send(json.dumps({"type": "UpdateConfiguration", "max_turn_silence": 2000}))
        socket.send(json.dumps({"type": "KeepAlive"}))
        socket.send(json.dumps({"type": "Terminate"}))
        assert json.loads(socket.recv(WAIT_SECONDS))["type"] == "Termination"
        assert running(session)._decode_thread._voice.endpoint_silence_seconds == 2.0

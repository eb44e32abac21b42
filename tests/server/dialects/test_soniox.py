"""Soniox's own SDK, unmodified, on ``/transcribe-websocket``, message by message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from soniox import SonioxClient
from soniox.types.realtime import RealtimeEvent, RealtimeSTTConfig
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.support.scripted_engine import ScriptedServer, scripted_server

WAIT_SECONDS = 120
CONFIG: dict[str, Any] = {"model": "stt-rt", "audio_format": "pcm_s16le", "sample_rate": 16_000, "num_channels": 1}


def tone(seconds: float) -> bytes:
    return (np.sin(np.arange(round(16_000 * seconds)) / 10) * 8000).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("soniox"), max_sessions=50) as running:
        yield running


def address(server: ScriptedServer) -> str:
    return server.stream_url.replace("/v1/stream", "/transcribe-websocket")


def test_a_stream_message_by_message(server: ScriptedServer) -> None:
    client = SonioxClient(api_key="secret", api_base_url=f"{server.url}/v1", websocket_base_url=address(server))
    seen: list[RealtimeEvent] = []
    config = RealtimeSTTConfig(**CONFIG, language_hints=["en"], enable_language_identification=True)
    with client.realtime.stt.connect(config=config) as session:
        session.send_byte_chunk(tone(1.5))
        finishing = 0
        for event in session.receive_events():
            seen.append(event)
            texts = [token.text for token in event.tokens]
            if finishing == 0 and any("listening" in text for text in texts):
                finishing = 1
                session.finalize()
            if finishing == 1 and "<fin>" in texts:
                finishing = 2
                session.send_byte_chunk(tone(0.5))
                session.finish()
    final = [token for event in seen for token in event.tokens if token.is_final]
    assert [token.text for token in final] == [" one", " two", "<fin>", " three"]
    assert [(token.start_ms, token.end_ms) for token in final] == [(0, 1000), (1000, 1500), (1500, 1500), (1500, 2000)]
    assert final[0].language == "en"
    last = seen[-1]
    assert last.finished
    assert last.total_audio_proc_ms == 2000
    assert not any(event.finished or event.error_code for event in seen[:-1])
    ours = (last.model_extra or {})["openmic"]
    assert ours["text"] == "heard 2.0 seconds"
    assert server.sessions.get(ours["session_id"]).options.language == "en"


def test_an_older_sdk_shows_its_key_in_the_first_message(server: ScriptedServer) -> None:
    with connect(address(server), open_timeout=WAIT_SECONDS) as socket:
        socket.send(
            json.dumps(CONFIG | {"api_key": "secret", "translation": {"type": "one_way", "target_language": "en"}})
        )
        socket.send("")
        finished = json.loads(socket.recv(WAIT_SECONDS))
    assert finished["finished"]
    assert server.sessions.get(finished["openmic"]["session_id"]).options.task == "translate"


def test_a_wrong_key_is_refused_in_the_handshake(server: ScriptedServer) -> None:
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(address(server), additional_headers={"Authorization": "Bearer no"}, open_timeout=WAIT_SECONDS),
    ):
        pass
    assert json.loads(refused.value.response.body)["error_code"] == 401


@pytest.mark.parametrize(
    ("changed", "code", "said"),
    [
        ({"translation": {"type": "one_way", "target_language": "fr"}}, 400, "English"),
        ({"audio_format": "gsm"}, 400, "pcm_s16le"),
        ({"sample_rate": None}, 400, "rate"),
        ({"sample_rate": "fast"}, 400, "sample_rate"),
        ({"language_hints": ["klingon"]}, 400, "klingon"),
        ({"api_key": "wrong"}, 401, "token"),
        ({"api_key": None}, 401, "token"),
    ],
)
def test_what_cannot_be_done_is_refused(server: ScriptedServer, changed: dict[str, Any], code: int, said: str) -> None:
    with connect(address(server), open_timeout=WAIT_SECONDS) as socket:
        socket.send(json.dumps(CONFIG | {"api_key": "secret"} | changed))
        message = json.loads(socket.recv(WAIT_SECONDS))
        assert message["error_code"] == code
        assert said in message["error_message"]
        with pytest.raises(ConnectionClosed):
            socket.recv(WAIT_SECONDS)


@pytest.mark.parametrize("detection", [True, False])
def test_an_end_of_speech_is_a_token_where_it_is_wanted(
    server: ScriptedServer, sample_audio: Any, detection: bool
) -> None:
    headers = {"Authorization": "Bearer secret"}
    with connect(address(server), additional_headers=headers, open_timeout=WAIT_SECONDS) as socket:
        socket.send(json.dumps({"model": "x", "audio_format": "auto", "enable_endpoint_detection": detection}))
        socket.send((sample_audio / "quickstart.wav").read_bytes())
        socket.send("")
        tokens = [token for message in socket for token in json.loads(message)["tokens"]]
    marks = [token for token in tokens if token["text"].startswith("<")]
    assert all(token["is_final"] and token["text"] == "<end>" for token in marks)
    assert bool(marks) == detection

"""OpenAI's Realtime dialect, message by message, against a real server on loopback."""

from __future__ import annotations

import base64
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from openmic.audio.types import Samples
from openmic.sessions.state import State
from openmic.sessions.types import language_code
from tests.support.conversation import Json
from tests.support.realtime import RATE, TEXT, RealtimeClient, realtime, resampled, tone
from tests.support.running import running
from tests.support.scripted_engine import ScriptedEngine, ScriptedServer, scripted_server
from tests.support.waiting import PATIENCE_SECONDS, wait_until

BUFFER = "input_audio_buffer."
COMMITTED = [f"{BUFFER}committed", "conversation.item.added", "conversation.item.done"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    language_code("en")  # loads Whisper's languages, which a real service has loaded with its model
    with scripted_server(tmp_path_factory.mktemp("realtime"), max_message_bytes=200_000, max_sessions=100) as running:
        yield running


def begun(client: RealtimeClient, **given: object) -> Json:
    """Say what the session is; what the server makes of it."""
    client.update(**{"turn_detection": None, **given})
    assert client.hear_until("session.created")
    return dict(client.hear_until("session.updated")["session"])


def seconds(client: RealtimeClient, number: int) -> None:
    for _ in range(number):
        client.append(tone(1.0))


def key_of(client: RealtimeClient) -> Json:
    """Where the whole final is, and the token that opens it."""
    return dict(next(told["openmic"] for told in reversed(client.messages) if "openmic" in told))


def final_of(server: ScriptedServer, key: Json) -> Json:
    """The final of a session, read by whoever spoke in it."""
    assert server.sessions.get(key["session_id"]).ended.wait(PATIENCE_SECONDS)
    headers = {"Authorization": f"Bearer {key['resume_token']}"}
    response = httpx.get(f"{server.url}/v1/sessions/{key['session_id']}.json", headers=headers)
    assert response.status_code == 200
    return dict(response.json())


# --- turns


def test_a_turn_that_the_client_commits(server: ScriptedServer) -> None:
    with realtime(server) as client:
        begun(client)
        seconds(client, 2)
        client.commit()
        completed = client.hear_until("completed")
        assert completed["transcript"] == "one two"
        assert completed["content_index"] == 0
        assert completed["usage"] == {"type": "duration", "seconds": pytest.approx(2.0, abs=0.01)}
        assert [told["delta"] for told in client.of("delta")] == ["one", " two"]
        (committed,) = client.of("committed")
        assert committed["previous_item_id"] is None
        assert {told["item_id"] for told in client.messages if "item_id" in told} == {completed["item_id"]}
        item = client.of("item.done")[0]["item"]
        assert (item["id"], item["role"], item["object"]) == (completed["item_id"], "user", "realtime.item")
        assert [kind for kind in client.kinds if kind in COMMITTED] == COMMITTED
        seconds(client, 1)
        client.commit()
        second = client.hear_until("completed")
        assert second["transcript"] == "three"
        assert client.of("committed")[1]["previous_item_id"] == completed["item_id"]
        assert not client.of("speech_started")
        assert len({told["event_id"] for told in client.messages}) == len(client.messages)


def test_turns_that_end_in_pauses(
    server: ScriptedServer, sample_audio: Path, load_audio: Callable[[Path], Samples]
) -> None:
    data = resampled(load_audio(sample_audio / "quickstart.wav"))
    with realtime(server) as client:
        begun(client, turn_detection={"type": "server_vad", "silence_duration_ms": 500})
        for at in range(0, len(data), RATE):
            client.append(data[at : at + RATE])
        client.append(bytes(2 * RATE))
        for _ in range(3):  # sentences
            client.hear_until("completed")
        started, stopped = client.of("speech_started"), client.of("speech_stopped")
        items = [told["item_id"] for told in started]
        for of_kind in (stopped, client.of("committed"), client.of("completed")):
            assert [told["item_id"] for told in of_kind] == items
        times = [
            time
            for begin, end in zip(started, stopped, strict=True)
            for time in (begin["audio_start_ms"], end["audio_end_ms"])
        ]
        assert all(isinstance(time, int) for time in times)
        assert times == sorted(times)
        for told in client.of("completed"):
            deltas = [delta["delta"] for delta in client.of("delta") if delta["item_id"] == told["item_id"]]
            assert "".join(deltas) == told["transcript"]
            of_item = [one["type"] for one in client.messages if one.get("item_id") == told["item_id"]]
            assert of_item[0] == f"{BUFFER}speech_started"
            assert of_item[-2:] == [f"{BUFFER}committed", f"{TEXT}completed"]


def test_a_commit_without_words_is_completed_all_the_same(server: ScriptedServer) -> None:
    with realtime(server) as client:
        begun(client)
        client.append(bytes(2 * RATE))
        client.commit()
        assert client.hear_until("completed")["transcript"] == ""


def test_many_commits_are_as_many_items(server: ScriptedServer) -> None:
    with realtime(server) as client:
        begun(client)
        for _ in range(5):
            client.append(tone(1.0))
            client.commit()
        texts = [client.hear_until("completed")["transcript"] for _ in range(5)]
        assert texts == ["one", "two", "three", "four", "five"]
        assert [told["item_id"] for told in client.of("committed")] == [
            told["item_id"] for told in client.of("completed")
        ]


def test_what_is_cleared_is_not_told(server: ScriptedServer) -> None:
    with realtime(server) as client:
        begun(client)
        client.say("input_audio_buffer.clear")  # nothing has come yet
        client.hear_until("cleared")
        seconds(client, 2)
        client.hear_until("delta")
        client.say("input_audio_buffer.clear")
        client.hear_until("cleared")
        seconds(client, 1)
        client.commit()
        completed = client.hear_until("completed")
        assert completed["transcript"] == "three"
        assert len(client.of("committed")) == 1
        assert completed["item_id"] != client.of("delta")[0]["item_id"]


# --- what the session is


def test_what_is_told_of_a_session(server: ScriptedServer) -> None:
    with realtime(server) as client:
        session = begun(
            client,
            format={"type": "audio/pcmu"},
            transcription={"model": "gpt-4o-transcribe", "language": "en-US", "prompt": "Ada", "delay": "low"},
            noise_reduction={"type": "near_field"},
        )
        created = client.of("session.created")[0]["session"]
        assert created["id"] == session["id"]
        assert created["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
        assert created["audio"]["input"]["turn_detection"]["silence_duration_ms"] == 500
        assert (session["type"], session["object"]) == ("transcription", "realtime.transcription_session")
        assert session["audio"]["input"] == {
            "format": {"type": "audio/pcmu"},
            "transcription": {"model": "scripted", "language": "en-US", "prompt": "Ada"},
            "noise_reduction": {"type": "near_field"},
            "turn_detection": None,
        }


def test_an_update_changes_what_it_names_and_no_more(server: ScriptedServer) -> None:
    with realtime(server) as client:
        begun(client, transcription={"language": "tr", "prompt": "Ada"}, turn_detection={"silence_duration_ms": 900})
        client.update(transcription={"prompt": "Bo"})
        told = client.hear_until("session.updated")["session"]["audio"]["input"]
        assert told["transcription"] == {"model": "scripted", "language": "tr", "prompt": "Bo"}
        assert told["turn_detection"]["silence_duration_ms"] == 900
        client.update(turn_detection={"threshold": 0.7})
        told = client.hear_until("session.updated")["session"]["audio"]["input"]
        assert (told["turn_detection"]["threshold"], told["turn_detection"]["silence_duration_ms"]) == (0.7, 900)
        client.update(turn_detection=None, transcription={"language": None})
        told = client.hear_until("session.updated")["session"]["audio"]["input"]
        assert told["turn_detection"] is None
        assert told["transcription"] == {"model": "scripted", "prompt": "Bo"}


def test_the_same_session_goes_on_where_nothing_changes_what_is_heard(server: ScriptedServer) -> None:
    with realtime(server) as client:
        begun(client, transcription={"language": "en"})
        seconds(client, 2)
        client.hear_until("delta")
        client.update(turn_detection={"type": "server_vad", "silence_duration_ms": 700})
        told = client.hear_until("session.updated")
        session = server.sessions.get(told["session"]["openmic"]["session_id"])
        assert session.state is State.RECEIVING
        assert running(session)._decode_thread._voice.endpoint_silence_seconds == 0.7


def test_another_language_is_another_session_on_the_same_clock(server: ScriptedServer) -> None:
    with realtime(server) as client:
        begun(client, transcription={"language": "en"})
        seconds(client, 2)
        client.commit()
        client.hear_until("completed")
        first = key_of(client)
        client.update(transcription={"language": "tr"})
        seconds(client, 1)
        client.commit()
        completed = client.hear_until("completed")
        second = key_of(client)
        assert completed["languages"] == [{"code": "tr"}]
        assert first["session_id"] != second["session_id"]
        assert client.of("committed")[1]["previous_item_id"] == client.of("committed")[0]["item_id"]
    assert [final_of(server, key)["duration"] for key in (first, second)] == [2.0, 1.0]
    assert not client.of("error")


def test_speech_is_timed_on_all_audio_of_the_connection(
    server: ScriptedServer, sample_audio: Path, load_audio: Callable[[Path], Samples]
) -> None:
    data = resampled(load_audio(sample_audio / "quickstart.wav")[: 16_000 * 5])
    with realtime(server) as client:
        turns = {"type": "server_vad"}
        begun(client, turn_detection=turns, transcription={"language": "en"})
        client.append(data[: len(data) // 4 * 2])
        client.append(data[len(data) // 4 * 2 :])
        once = client.hear_until("speech_started")["audio_start_ms"]
        client.update(transcription={"language": "tr"})
        client.append(data[: len(data) // 4 * 2])
        assert client.hear_until("speech_started")["audio_start_ms"] == once + 5000


def test_audio_before_the_first_update_waits_for_it(server: ScriptedServer) -> None:
    with realtime(server) as client:
        seconds(client, 1)
        client.update(turn_detection=None, transcription={"language": "tr"})
        client.commit()
        assert client.hear_until("completed")["languages"] == [{"code": "tr"}]
        assert client.kinds[:2] == ["session.created", "session.updated"]


def test_a_client_that_never_says_what_it_is_is_heard_by_the_defaults(server: ScriptedServer) -> None:
    with realtime(server) as client:
        seconds(client, 2)
        assert client.hear_until("delta")["delta"] == "one"


@pytest.mark.parametrize(
    ("encoding", "silence", "heard"),
    [("audio/pcmu", b"\xff", ""), ("audio/pcma", b"\xd5", "one"), ("audio/pcm", b"\0\0" * 3, "")],
)
def test_encodings(server: ScriptedServer, encoding: str, silence: bytes, heard: str) -> None:
    """A-law has no zero: its silence is not that of the scripted engine."""
    with realtime(server) as client:
        begun(client, format={"type": encoding})
        client.append(silence * 8000)
        client.commit()
        assert client.hear_until("completed")["transcript"] == heard
        client.append(b"\x10\x20" * (RATE if encoding == "audio/pcm" else 4000))
        client.commit()
        assert client.hear_until("completed")["transcript"] == "two"
        key = key_of(client)
    assert final_of(server, key)["duration"] == 2.0


# --- the names of 2025's beta


@pytest.mark.parametrize("by", ["header", "subprotocol", "first message"])
def test_beta(server: ScriptedServer, by: str) -> None:
    how: dict[str, Any] = {}
    if by == "header":
        how["headers"] = {"OpenAI-Beta": "realtime=v1"}
    if by == "subprotocol":
        how["subprotocols"] = ["realtime", "openai-beta.realtime-v1"]
    with realtime(server, **how) as client:
        turns = {"type": "server_vad", "silence_duration_ms": 600}
        session = {
            "input_audio_format": "g711_ulaw",
            "input_audio_transcription": {"model": "whisper-1", "language": "en"},
            "turn_detection": turns,
            "input_audio_noise_reduction": {"type": "far_field"},
        }
        client.say("transcription_session.update", session=session)
        told = client.hear_until("transcription_session.updated")["session"]
        assert client.kinds[0] == ("session.created" if by == "first message" else "transcription_session.created")
        assert told["input_audio_format"] == "g711_ulaw"
        assert told["input_audio_transcription"] == {"model": "scripted", "language": "en"}
        assert told["turn_detection"]["silence_duration_ms"] == 600
        assert told["client_secret"] is None
        client.append(b"\x10\x20" * 4000)
        client.commit()
        client.hear_until("completed")
        assert client.of("item.created")[0]["item"]["type"] == "message"
        assert not client.of("item.added")


# --- what is refused


@pytest.mark.parametrize(
    ("message", "code", "param"),
    [
        ({"type": "response.create"}, "unsupported_in_transcription", None),
        ({"type": "conversation.item.create"}, "unsupported_in_transcription", None),
        ({"type": "session.update", "session": {"type": "realtime"}}, "unsupported_in_transcription", None),
        ({"type": "session.update"}, "bad_request", "session"),
        (
            {"type": "session.update", "session": {"audio": {"input": {"format": {"type": "audio/opus"}}}}},
            "bad_request",
            "session.audio.input.format.type",
        ),
        (
            {"type": "session.update", "session": {"audio": {"input": {"transcription": {"language": "klingon"}}}}},
            "unknown_language",
            None,
        ),
        ({"type": "input_audio_buffer.append", "audio": "no base64!"}, "bad_request", "audio"),
        ({"type": "input_audio_buffer.append"}, "bad_request", "audio"),
        ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
        ({"type": "dance"}, "unknown_type", None),
        ({"kind": "dance"}, "unknown_type", None),
    ],
)
@pytest.mark.parametrize("speaking", [True, False])
def test_what_is_not_understood_is_told_and_the_connection_goes_on(
    server: ScriptedServer, message: Json, code: str, param: str | None, speaking: bool
) -> None:
    with realtime(server) as client:
        begun(client)
        if speaking:
            seconds(client, 1)
            client.commit()
            client.hear_until("completed")
        client.connection.send(json.dumps(message | {"event_id": "mine"}))
        error = client.hear_until("error")["error"]
        assert (error["code"], error["param"]) == (code, param)
        assert error["event_id"] == ("mine" if message["type" if "type" in message else "kind"] else None)
        assert error["type"] == "invalid_request_error"
        seconds(client, 1)
        client.commit()
        assert client.hear_until("completed")["transcript"] == ("two" if speaking else "one")


@pytest.mark.parametrize("frame", ["no json", "[]", "[" * 100_000, b"\0\1"])
def test_what_is_no_json_is_told_and_the_connection_goes_on(server: ScriptedServer, frame: str | bytes) -> None:
    with realtime(server) as client:
        begun(client)
        client.connection.send(frame)
        assert client.hear_until("error")["error"]["code"] == "bad_json"
        seconds(client, 1)
        client.commit()
        assert client.hear_until("completed")["transcript"] == "one"


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"token": "wrong"}, 401, "token_wrong"),
        ({"token": None}, 401, "token_missing"),
        ({"origin": "https://evil.example"}, 403, "origin_not_allowed"),
        ({"query": "?call_id=rtc_1"}, 400, "bad_request"),
        ({"token": None, "query": "?token=secret"}, 401, "token_missing"),
    ],
)
def test_refusals_come_with_the_handshake(
    server: ScriptedServer, options: dict[str, Any], status: int, code: str
) -> None:
    with pytest.raises(InvalidStatus) as caught, realtime(server, **options):
        pass
    response = caught.value.response
    assert response.status_code == status
    assert json.loads(response.body)["error"]["code"] == code


def test_browsers_show_the_token_in_a_subprotocol(server: ScriptedServer) -> None:
    offered = ["realtime", "openai-insecure-api-key.secret"]
    with realtime(server, token=None, subprotocols=offered, origin="http://localhost:3000") as client:
        assert client.connection.subprotocol == "realtime"
        begun(client)


def test_a_full_server_says_so_and_closes(tmp_path: Path) -> None:
    with scripted_server(tmp_path, max_sessions=1) as server, realtime(server) as one, realtime(server) as other:
        begun(one)
        seconds(one, 2)
        one.hear_until("delta")
        begun(other)  # a connection without audio takes no place
        seconds(other, 1)
        assert other.hear_out() == 1013
        assert other.messages[-1]["error"]["code"] == "server_full"
        one.commit()
        assert one.hear_until("completed")["transcript"] == "one two"


def test_a_message_over_the_limit(server: ScriptedServer) -> None:
    with realtime(server) as client:
        begun(client)
        client.append(bytes(300_000))
        assert client.hear_out() == 1009
        assert client.messages[-1]["error"]["code"] == "message_too_large"


# --- how it ends


def test_a_cut_connection_ends_in_a_final_that_its_owner_can_fetch(server: ScriptedServer) -> None:
    with realtime(server) as client:
        begun(client)
        seconds(client, 2)
        client.commit()
        client.hear_until("completed")
        key = key_of(client)
        client.append(tone(1.0))
        client.connection.socket.shutdown(socket.SHUT_RDWR)
        final = final_of(server, key)
    assert final["text"].strip() in ("heard 2.0 seconds", "heard 3.0 seconds")
    assert final["reason"] == "stopped"
    assert final["error"] is None


def test_a_connection_that_pauses_keeps_no_place_and_goes_on(tmp_path: Path) -> None:
    with scripted_server(tmp_path, max_sessions=1, idle_seconds=0.4) as server, realtime(server) as client:
        begun(client)
        seconds(client, 1)
        client.commit()
        client.hear_until("completed")
        first = key_of(client)
        wait_until(lambda: server.sessions.get(first["session_id"]).state is State.ENDED)
        seconds(client, 1)
        client.commit()
        assert client.hear_until("completed")["transcript"] == "one"
        assert key_of(client)["session_id"] != first["session_id"]
        assert not client.of("error")
        assert final_of(server, first)["error"] == "idle_too_long"


def test_the_longest_recording_is_followed_by_another(tmp_path: Path) -> None:
    with scripted_server(tmp_path, max_seconds=2.0) as server, realtime(server) as client:
        begun(client)
        seconds(client, 3)
        wait_until(lambda: [session.state for session in server.sessions.list()] == [State.ENDED])
        seconds(client, 1)
        client.commit()
        assert client.hear_until("completed")["transcript"] == "one two one"  # the client's turn spans both
        assert not client.of("error")
        first, second = (session.audio_seconds for session in server.sessions.list())
        assert (first, round(second, 1)) == (2.0, 1.0)


def test_a_server_that_stops_ends_all_connections(tmp_path: Path) -> None:
    with scripted_server(tmp_path) as server, realtime(server) as one, realtime(server) as idle:
        begun(one)
        begun(idle)
        seconds(one, 2)
        one.hear_until("delta")
        began = time.monotonic()
        stopper = threading.Thread(target=server.thread.stop)
        stopper.start()
        assert one.hear_out() == 1001
        assert idle.hear_out() == 1001
        assert idle.messages[-1]["error"]["code"] == "server_stopping"
        stopper.join(PATIENCE_SECONDS)
        assert time.monotonic() - began < PATIENCE_SECONDS


@pytest.mark.parametrize("speaking", [True, False])
def test_a_revoked_token_ends_the_connection(server: ScriptedServer, speaking: bool) -> None:
    _, secret = server.keys.make("tester")
    with realtime(server, token=secret) as client:
        begun(client)
        if speaking:
            seconds(client, 2)
            client.hear_until("delta")
        server.keys.revoke(secret)
        assert client.hear_out() == 1008
        assert client.messages[-1]["error"]["code"] == "token_revoked"


def test_an_engine_that_fails_fails_the_item_and_the_connection(tmp_path: Path) -> None:
    engine = ScriptedEngine()
    with scripted_server(tmp_path, engine=engine) as server, realtime(server) as client:
        begun(client)
        seconds(client, 2)
        client.hear_until("delta")
        engine.close()
        assert client.hear_out() == 1001
        assert client.messages[-1]["error"]["code"] == "engine_closed"


def test_it_is_counted_and_listed(server: ScriptedServer) -> None:
    with realtime(server) as client:
        begun(client)
        seconds(client, 1)
        client.commit()
        client.hear_until("completed")
        listed = httpx.get(f"{server.url}/v1/sessions", headers=server.headers).json()["sessions"]
        states = {session["id"]: session["state"] for session in listed}
        assert states[key_of(client)["session_id"]] == "receiving"
        metrics = httpx.get(f"{server.url}/metrics", headers=server.headers).text
        assert "openmic_connections 0.0" not in metrics
    assert 'openmic_errors_total{code="message_too_large"}' in metrics or 'code="token_wrong"' in metrics


def test_no_audio_is_lost_between_two_sessions(server: ScriptedServer) -> None:
    """A change of the language while the client goes on sending."""
    with realtime(server) as client:
        begun(client, transcription={"language": "en"})
        for number in range(20):
            if number == 10:
                client.update(transcription={"language": "tr"})
            client.say("input_audio_buffer.append", audio=base64.b64encode(tone(0.5)).decode())
        client.commit()
        client.hear_until("completed")
        second = key_of(client)
        first = client.of("session.updated")[-1]["session"]["openmic"]
    assert [final_of(server, key)["duration"] for key in (first, second)] == [5.0, 5.0]

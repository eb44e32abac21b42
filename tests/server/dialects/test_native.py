"""The native dialect against a real server on loopback, with a real client library."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import openmic.server.dialects.client_socket
from openmic.speech.types import Term
from tests.support.conversation import Json, SocketConversation
from tests.support.raw_socket import frame, shake_hands
from tests.support.scripted_engine import ScriptedEngine, ScriptedServer, scripted_server

WAIT = 120  # seconds; a generous deadline for everything that should happen at once
PCM = {"type": "start", "encoding": "pcm_s16le", "sample_rate": 16000}


def tone(seconds: float) -> bytes:
    return (np.sin(np.arange(round(16_000 * seconds)) / 10) * 8000).astype("<i2").tobytes()


class Client(SocketConversation):
    """One connection."""

    def say(self, **message: object) -> None:
        self.connection.send(json.dumps(message))

    def of(self, kind: str) -> list[Json]:
        return [message for message in self.messages if message["type"] == kind]


@contextmanager
def client(server: ScriptedServer, *, token: str | None = "secret", **options: Any) -> Iterator[Client]:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    with connect(server.stream_url, additional_headers=headers, max_size=None, open_timeout=WAIT, **options) as opened:
        yield Client(opened)


@contextmanager
def started(server: ScriptedServer, **fields: object) -> Iterator[Client]:
    with client(server) as one:
        one.say(**PCM | fields)
        one.hear_until("ready")
        yield one


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("server"), max_message_bytes=65_536, max_sessions=100) as running:
        yield running


@pytest.fixture
def bystander(server: ScriptedServer) -> Iterator[None]:
    """A second session that talks all through a test, and must notice nothing of it."""
    stop = threading.Event()
    result: list[Client] = []

    def talk() -> None:
        with started(server) as other:
            result.append(other)
            sent = 0.0
            while not stop.is_set() or sent < 1.0:
                other.connection.send(tone(0.1))
                sent += 0.1
                stop.wait(0.02)
            other.say(type="stop")
            other.hear_out()

    thread = threading.Thread(target=talk)
    thread.start()
    yield
    stop.set()
    thread.join(WAIT)
    assert result[0].close_code == 1000
    assert result[0].of("error") == []
    assert result[0].of("final")


def test_a_stream_from_start_to_done(server: ScriptedServer) -> None:
    with client(server) as one:
        one.say(**PCM, words=True, language="tr", something_new="ignored")
        ready = one.hear()
        assert ready is not None
        assert ready["type"] == "ready"
        assert (ready["model"], ready["device"], ready["received_bytes"]) == ("scripted", "cpu", 0)
        assert ready["limits"] == {"max_seconds": 3600, "idle_seconds": 60, "max_message_bytes": 65536}
        for _ in range(25):
            one.connection.send(tone(0.1))
        one.say(type="ping")
        one.hear_until("pong")
        one.say(type="stop")
        assert one.hear_out() == 1000
    assert [message["type"] for message in one.messages[-2:]] == ["final", "done"]
    assert one.of("ack")[-1]["received_bytes"] == 80_000
    assert [commit["text"] for commit in one.of("commit")] == [" one", " two", " three"]
    assert one.of("commit")[0]["words"] == [{"word": " one", "start": 0.0, "end": 1.0, "probability": 1.0}]
    assert one.of("live")
    final = one.of("final")[0]
    assert (final["text"], final["language"], final["duration"]) == (" heard 2.5 seconds", "tr", 2.5)
    assert final["live_text"] == "one two three"
    assert final["segments"][0]["words"]
    assert one.of("done") == [{"type": "done", "seq": 5, "reason": "stopped", "audio_seconds": 2.5}]


def test_words_are_only_sent_where_asked_for(server: ScriptedServer) -> None:
    with started(server) as one:
        one.connection.send(tone(1.2))
        one.say(type="stop")
        assert one.hear_out() == 1000
    assert all("words" not in commit for commit in one.of("commit"))
    assert all("words" not in segment for segment in one.of("final")[0]["segments"])


def test_speech_starts_and_ends_are_told(server: ScriptedServer, sample_audio: Path) -> None:
    recording = min(sample_audio.glob("*.wav"), key=lambda path: path.stat().st_size, default=None)
    recording = recording or min(sample_audio.glob("*.flac"), key=lambda path: path.stat().st_size)
    with started(server, encoding="auto", sample_rate=None) as one:
        data = recording.read_bytes()
        for start in range(0, len(data), 50_000):
            one.connection.send(data[start : start + 50_000])
        one.say(type="stop")
        assert one.hear_out() == 1000
    states = [speech["state"] for speech in one.of("speech")]
    assert states[:2] == ["started", "ended"]
    assert states == ["started", "ended"] * (len(states) // 2)
    times = [speech["at"] for speech in one.of("speech")]
    assert times == sorted(times)


def test_flush_commits_now(server: ScriptedServer) -> None:
    with started(server) as one:
        one.connection.send(tone(0.4))
        one.say(type="flush")
        assert one.hear_until("commit")["end"] == pytest.approx(0.4, abs=0.01)


# --- tokens


@pytest.mark.parametrize("way", ["header", "subprotocol", "message"])
def test_each_way_to_show_the_token(server: ScriptedServer, way: str) -> None:
    subprotocols = ["openmic.v1", "token.secret"] if way == "subprotocol" else None
    token = "secret" if way == "header" else None
    with client(server, token=token, subprotocols=subprotocols) as one:
        assert one.connection.subprotocol == ("openmic.v1" if way == "subprotocol" else None)
        one.say(**PCM, **({"token": "secret"} if way == "message" else {}))
        one.hear_until("ready")


@pytest.mark.parametrize("way", ["header", "subprotocol", "message", "none"])
def test_a_wrong_or_missing_token_is_refused(server: ScriptedServer, way: str, bystander: None) -> None:
    subprotocols = ["openmic.v1", "token.wrong"] if way == "subprotocol" else None
    token = "wrong" if way == "header" else None
    with client(server, token=token, subprotocols=subprotocols) as one:
        if way in ("message", "none"):
            one.say(**PCM, **({"token": "wröng"} if way == "message" else {}))
        assert one.hear_out() == 4401
    error = one.messages[-1]
    assert (error["type"], error["fatal"]) == ("error", True)
    assert error["code"] == ("token_missing" if way == "none" else "token_wrong")
    assert "secret" not in json.dumps(one.messages)


def test_a_token_in_the_query_is_none(server: ScriptedServer) -> None:
    with connect(server.stream_url + "?token=secret") as opened:
        one = Client(opened)
        one.say(**PCM)
        assert one.hear_out() == 4401


@pytest.mark.slow
def test_the_first_message_must_come_in_time(tmp_path: Path) -> None:
    with scripted_server(tmp_path, first_message_seconds=2.0) as server:
        with client(server, token=None) as stranger:
            assert stranger.hear_out() == 4401
        with client(server) as known:
            assert known.hear_out() == 4408
            assert known.messages[-1]["code"] == "first_message_late"


def test_only_so_many_may_wait_without_a_token(tmp_path: Path) -> None:
    with (
        scripted_server(tmp_path, max_unauthenticated=2, first_message_seconds=WAIT) as server,
        client(server, token=None) as first,
        client(server, token=None) as second,
    ):
        with client(server, token=None) as third:
            assert third.hear_out() == 1013
        error = third.messages[-1]
        assert (error["code"], error["fatal"]) == ("too_many_unauthenticated", True)
        assert "At most 2 connections" in error["message"]
        with client(server, token="wrong") as known_wrong:
            assert known_wrong.hear_out() == 4401
        with started(server) as known:  # a token in the handshake needs no place
            known.say(type="stop")
            assert known.hear_out() == 1000
        first.say(**PCM, token="secret")
        first.hear_until("ready")  # shown: its place is free for another, while the stream goes on
        with client(server, token=None) as fourth:
            fourth.say(**PCM, token="secret")
            fourth.hear_until("ready")
            with client(server, token=None) as fifth:
                fifth.say(**PCM, token="wrong")
                assert fifth.hear_out() == 4401
        second.connection.close()  # one that goes away frees its place too, soon
        deadline = time.monotonic() + WAIT
        with client(server, token=None):
            while True:
                with client(server, token=None) as other:
                    other.say(**PCM, token="wrong")
                    if other.hear_out() == 4401:
                        break
                assert time.monotonic() < deadline


# --- messages that make no sense


@pytest.mark.parametrize(
    ("first", "code"),
    [
        ("{broken", "bad_json"),
        ("[1, 2]", "bad_json"),
        ("hello", "bad_json"),
        ("[" * 60_000, "bad_json"),
        (b"RIFF....WAVE", "not_started"),
        ('{"type": "stop"}', "not_started"),
        ('{"type": "dance"}', "unknown_type"),
        ('{"no": "type"}', "unknown_type"),
        ('{"type": ["start"]}', "unknown_type"),
        ('{"type": "start", "task": "sing"}', "bad_message"),
        ('{"type": "start", "sample_rate": "fast"}', "bad_message"),
        ('{"type": "start", "prompt": "\\ud800"}', "bad_message"),
        ('{"type": "resume"}', "bad_message"),
        ('{"type": "start", "encoding": "mp4"}', "audio_encoding_unknown"),
        ('{"type": "start", "encoding": "pcm_s16le"}', "audio_rate_missing"),
        ('{"type": "start", "encoding": "pcm_s16le", "sample_rate": 0}', "audio_rate_invalid"),
        ('{"type": "start", "encoding": "pcm_s16le", "sample_rate": 1000000000}', "audio_rate_invalid"),
        ('{"type": "start", "encoding": "pcm_s16le", "sample_rate": 8000, "channels": 0}', "audio_channels_invalid"),
        ('{"type": "start", "language": "klingon"}', "unknown_language"),
    ],
)
def test_a_first_message_that_makes_no_sense(
    server: ScriptedServer, first: str | bytes, code: str, bystander: None
) -> None:
    with client(server) as one:
        one.connection.send(first)
        assert one.hear_out() == 4400
    (error,) = one.messages
    assert (error["type"], error["code"], error["fatal"]) == ("error", code, True)
    assert error["message"]
    assert error["hint"]


def test_an_unknown_type_is_told_and_the_stream_goes_on(server: ScriptedServer) -> None:
    with started(server) as one:
        one.say(type="dance")
        error = one.hear_until("error")
        assert (error["code"], error["fatal"]) == ("unknown_type", False)
        one.say(**PCM)
        error = one.hear_until("error")
        assert (error["code"], error["fatal"]) == ("already_started", False)
        one.connection.send(tone(1.0))
        one.say(type="stop")
        assert one.hear_out() == 1000


@pytest.mark.parametrize("text", ["UklGRiQAAABXQVZF", "{broken"])
def test_text_where_audio_belongs_closes_but_loses_nothing(server: ScriptedServer, text: str, bystander: None) -> None:
    with started(server) as one:
        one.connection.send(tone(1.0))
        one.hear_until("ack")
        one.connection.send(text)
        assert one.hear_out() == 4400
        assert one.messages[-1]["code"] == "bad_json"
    with client(server) as again:
        again.say(type="resume", **key(one), after_seq=0)
        assert again.hear_until("ready")["received_bytes"] == 32_000
        again.say(type="stop")
        assert again.hear_out() == 1000
        assert again.of("final")[0]["duration"] == 1.0


def key(one: Client) -> Json:
    """What a client needs to resume."""
    ready = one.of("ready")[0]
    return {"session_id": ready["session_id"], "resume_token": ready["resume_token"]}


@pytest.mark.parametrize("size", [65_537, 200_000, 300_000, 5_000_000])
@pytest.mark.parametrize("text", [False, True])
def test_a_message_over_the_limit(server: ScriptedServer, size: int, text: bool, bystander: None) -> None:
    with started(server) as one:
        with suppress(ConnectionClosed):
            one.connection.send("x" * size if text else bytes(size))
        assert one.hear_out() == 1009
    if size <= 4 * 65_536:
        error = one.messages[-1]
        assert (error["code"], error["fatal"]) == ("message_too_large", True)


def test_a_message_of_exactly_the_limit_is_taken(server: ScriptedServer) -> None:
    with started(server) as one:
        one.connection.send(bytes(65_536))
        assert one.hear_until("ack")["received_bytes"] == 65_536


# --- audio that makes no sense


def test_an_empty_stream(server: ScriptedServer) -> None:
    with started(server) as one:
        one.say(type="stop")
        assert one.hear_out() == 1000
    assert [message["type"] for message in one.messages] == ["ready", "warning", "final", "done"]
    assert one.of("warning")[0]["code"] == "audio_empty"
    assert one.of("final")[0]["text"] == ""


def test_silence_only(server: ScriptedServer) -> None:
    with started(server) as one:
        one.connection.send(bytes(48_000))
        one.say(type="stop")
        assert one.hear_out() == 1000
    assert one.of("final")[0]["text"] == ""
    assert one.of("commit") == []


def test_what_is_not_audio(server: ScriptedServer, bystander: None) -> None:
    with started(server, encoding="auto") as one:
        one.connection.send(b"Dear Sir or Madam, " * 1000)
        assert one.hear_out() == 4415
    assert one.messages[-1]["code"] == "audio_not_decodable"
    assert one.messages[-1]["fatal"]
    assert one.of("final") == []


def test_a_container_cut_in_the_middle_gives_what_is_there(server: ScriptedServer, sample_audio: Path) -> None:
    recording = max(sample_audio.glob("*.flac"), key=lambda path: path.stat().st_size, default=None)
    recording = recording or max(sample_audio.glob("*.wav"), key=lambda path: path.stat().st_size)
    data = recording.read_bytes()
    with started(server, encoding="auto") as one:
        for start in range(0, len(data) // 3, 50_000):
            one.connection.send(data[start : min(start + 50_000, len(data) // 3)])
        one.say(type="stop")
        assert one.hear_out() == 1000
    assert one.of("final")[0]["duration"] > 1


# --- clients that misbehave


def test_control_messages_may_come_as_binary_ones(server: ScriptedServer) -> None:
    """Some libraries send text so; taken as sound, they would be in the recording, and nothing would end."""
    with client(server) as one:
        one.say(**PCM)
        one.connection.send(tone(1.0))
        for message in (b'{"type": "ping"}', b' {"type": "ping"}'[1:], b'{"type":"flush"}', b'{"type": "stop"}'):
            one.connection.send(message)
        assert one.hear_out() == 1000
    assert one.of("pong")
    assert one.of("final")[0]["duration"] == 1.0


def test_sound_that_looks_like_text_is_sound(server: ScriptedServer) -> None:
    for data in (b'{"type": "music"}' + b" " * 15, b"{" * 32, b'{"type": "stop"}' + bytes(16), b'["type", "stop"]' * 2):
        with client(server) as one:
            one.say(**PCM)
            one.connection.send(data)
            one.say(type="stop")
            assert one.hear_out() == 1000
        assert one.of("ack")[-1]["received_bytes"] == 32


def test_stop_twice(server: ScriptedServer) -> None:
    with started(server) as one:
        server.engine.may_finish.clear()
        one.connection.send(tone(1.0))
        one.say(type="stop")
        one.say(type="stop")
        error = one.hear_until("error")
        assert (error["code"], error["fatal"]) == ("already_stopped", False)
        one.connection.send(tone(1.0))
        assert one.hear_until("error")["code"] == "already_stopped"
        server.engine.may_finish.set()
        assert one.hear_out() == 1000
    assert one.of("final")[0]["duration"] == 1.0


def test_a_client_that_vanishes_can_come_back(server: ScriptedServer, bystander: None) -> None:
    with started(server, words=True) as one:
        one.connection.send(tone(2.0))
        while len(one.of("commit")) < 2:
            one.hear()
        one.connection.socket.shutdown(socket.SHUT_RDWR)
    with client(server) as again:
        again.say(type="resume", **key(one), after_seq=1)
        ready = again.hear_until("ready")
        assert ready["received_bytes"] == 64_000
        assert ready["session_id"] == one.of("ready")[0]["session_id"]
        again.connection.send(tone(1.0))
        again.say(type="stop")
        assert again.hear_out() == 1000
    counted = [message for message in again.messages if message["type"] in ("commit", "final", "done")]
    assert [message["seq"] for message in counted] == [2, 3, 4, 5]
    assert all(commit["words"] for commit in again.of("commit"))
    assert all(segment["words"] for segment in again.of("final")[0]["segments"])
    with client(server) as late:
        late.say(type="resume", **key(one), after_seq=3)
        assert late.hear_out() == 1000
    assert [message["type"] for message in late.messages] == ["ready", "final", "done"]


@pytest.mark.slow
def test_a_client_that_stays_away_gets_its_final_kept(tmp_path: Path) -> None:
    with scripted_server(tmp_path, resume_seconds=2.0) as server:
        with started(server) as one:
            one.connection.send(tone(1.0))
            one.hear_until("ack")
            one.connection.socket.shutdown(socket.SHUT_RDWR)
        assert server.sessions.get(key(one)["session_id"]).ended.wait(WAIT)
        with client(server) as late:
            late.say(type="resume", **key(one))
            assert late.hear_out() == 1000
        assert late.of("final")[0]["duration"] == 1.0
        assert late.of("done")[0]["reason"] == "timeout"


@pytest.mark.parametrize("wrong", [{"session_id": "0" * 32}, {"resume_token": "guess"}])
def test_nobody_resumes_what_is_not_theirs(server: ScriptedServer, wrong: Json) -> None:
    with started(server) as one, client(server) as thief:
        thief.say(type="resume", **key(one) | wrong)
        assert thief.hear_out() == 4404
        assert thief.messages[-1]["code"] == "unknown_session"


def test_the_newest_connection_has_the_session(server: ScriptedServer) -> None:
    with started(server) as old, client(server) as new:
        new.say(type="resume", **key(old))
        new.hear_until("ready")
        assert old.hear_out() == 4404
        assert old.messages[-1]["code"] == "replaced"
        new.connection.send(tone(1.0))
        new.say(type="stop")
        assert new.hear_out() == 1000


@pytest.mark.slow
def test_idle_too_long(tmp_path: Path) -> None:
    with scripted_server(tmp_path, idle_seconds=2.5) as server:
        with started(server) as quiet:
            quiet.connection.send(tone(1.0))
            assert quiet.hear_out() == 4408
        assert [message["type"] for message in quiet.messages[-2:]] == ["final", "error"]
        assert quiet.messages[-1]["code"] == "idle_too_long"
        with started(server) as patient:
            for _ in range(4):
                time.sleep(0.8)
                patient.connection.send(bytes(32_000))  # silence is sound
                patient.hear_until("ack")
            server.engine.may_finish.clear()
            patient.say(type="stop")
            time.sleep(3.0)
            server.engine.may_finish.set()
            assert patient.hear_out() == 1000


def test_one_session_too_many(tmp_path: Path) -> None:
    with scripted_server(tmp_path, max_sessions=1) as server, started(server) as one:
        with client(server) as refused:
            refused.say(**PCM)
            assert refused.hear_out() == 1013
        assert refused.messages[-1]["code"] == "server_full"
        assert refused.messages[-1]["retry_after"] > 0
        one.connection.send(tone(1.0))
        one.say(type="stop")
        assert one.hear_out() == 1000


def test_longer_than_allowed(tmp_path: Path) -> None:
    with scripted_server(tmp_path, max_seconds=1.5) as server, started(server) as one:
        for _ in range(30):
            one.connection.send(tone(0.1))
        assert one.hear_out() == 1000
        assert one.of("warning")[0]["code"] == "session_too_long"
        assert one.of("final")[0]["duration"] == 1.5
        assert one.of("done")[0]["reason"] == "timeout"
        assert one.of("error") == []


def test_a_server_that_stops_sends_its_finals_first(tmp_path: Path) -> None:
    with scripted_server(tmp_path) as server, started(server) as one:
        one.connection.send(tone(1.0))
        one.hear_until("commit")
        stopper = threading.Thread(target=server.thread.stop)
        stopper.start()
        assert one.hear_out() == 1001
        stopper.join(WAIT)
        assert [message["type"] for message in one.messages[-2:]] == ["final", "done"]
        assert one.messages[-1]["reason"] == "shutdown"
        assert not server.thread.running


def test_a_final_that_does_not_come_in_time_is_said_so(tmp_path: Path) -> None:
    with scripted_server(tmp_path, stop_seconds=0.3) as server, started(server) as one:
        server.engine.may_finish.clear()
        one.connection.send(tone(1.0))
        one.hear_until("commit")
        stopper = threading.Thread(target=server.thread.stop)
        stopper.start()
        assert one.hear_out() == 1001
        stopper.join(WAIT)
        assert one.messages[-1]["code"] == "server_stopping"
        server.engine.may_finish.set()


def wait_until_detached(server: ScriptedServer, seconds_of_audio: float) -> None:
    deadline = time.monotonic() + WAIT
    while True:
        sessions = server.sessions.list()
        if sessions and sessions[0].audio_seconds >= seconds_of_audio and not sessions[0].attached:
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_client_that_answers_no_ping_is_dropped_and_its_session_kept(tmp_path: Path) -> None:
    with scripted_server(tmp_path, ping_seconds=0.3) as server, shake_hands(server, PCM, receive_buffer=65_536) as raw:
        raw.sendall(frame(0x2, tone(1.0)))
        wait_until_detached(server, 1.0)
        deadline = time.monotonic() + WAIT
        while server.sessions.list()[0].committed_text != "one":
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.mark.slow
def test_a_client_that_never_reads_is_dropped_and_its_session_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openmic.server.dialects.client_socket, "SEND_SECONDS", 0.5)
    engine = ScriptedEngine(filler="x" * 1_000_000)
    with (
        scripted_server(tmp_path, engine=engine) as server,
        shake_hands(server, PCM, receive_buffer=4096) as raw,
    ):
        for _ in range(20):
            raw.sendall(frame(0x2, tone(1.0)))
        wait_until_detached(server, 1.0)  # a busy server drops it before it has read all
        with started(server) as other:
            other.connection.send(tone(1.0))
            other.say(type="stop")
            assert other.hear_out() == 1000


@pytest.mark.slow
def test_only_the_newest_live_text_waits_for_a_slow_reader(tmp_path: Path) -> None:
    engine = ScriptedEngine(filler="x" * 500_000)
    with scripted_server(tmp_path, engine=engine) as server, client(server, max_queue=1) as slow:
        slow.say(**PCM)
        for _ in range(300):
            slow.connection.send(tone(0.1))
        deadline = time.monotonic() + WAIT
        while not server.sessions.list() and time.monotonic() < deadline:
            time.sleep(0.05)
        while server.sessions.list()[0].audio_seconds < 30 and time.monotonic() < deadline:
            time.sleep(0.05)
        slow.say(type="stop")
        assert slow.hear_out() == 1000
        assert [commit["seq"] for commit in slow.of("commit")] == list(range(1, 31))
        assert len(slow.of("live")) < 250
        assert slow.of("ack")[-1]["received_bytes"] == 960_000


def test_a_flush_is_answered_by_the_end_of_its_utterance(server: ScriptedServer) -> None:
    with started(server, words=True) as one:
        one.say(type="configure", endpoint_silence_seconds=1.5)
        one.connection.send(tone(1.5))
        one.hear_until("live")
        one.say(type="flush")
        over = one.hear_until("utterance")
        assert over == {"type": "utterance", "end": 1.5, "cause": "flush"}
        assert [commit["text"] for commit in one.of("commit")] == [" one", " two"]
        for live in one.of("live"):
            assert "".join(word["word"] for word in live["words"]) == live["text"]


@pytest.mark.parametrize(
    "message", [PCM | {"endpoint_silence_seconds": 0.1}, PCM | {"endpoint_silence_seconds": 6}, PCM]
)
def test_a_silence_out_of_bounds_is_refused(server: ScriptedServer, message: Json) -> None:
    with client(server) as one:
        one.say(**message)
        if message is PCM:
            one.hear_until("ready")
            one.say(type="configure", endpoint_silence_seconds=99)
        assert one.hear_until("error")["code"] == "bad_message"
        assert one.hear_out() == 4400


def test_names_and_terms_are_given_at_the_start_and_changed_later(server: ScriptedServer) -> None:
    terms: list[Any] = ["Ayşe", {"text": "Siobhan", "sounds_like": ["shavawn"]}]
    with started(server, vocabulary=terms, prompt="Notes.") as one:
        options = server.engine.streams[-1].options
        assert options.vocabulary == (Term("Ayşe"), Term("Siobhan", ("shavawn",)))
        assert options.prompt == "Notes."
        one.say(type="configure", vocabulary=["Zoë"])
        one.say(type="ping")
        one.hear_until("pong")
        changed = server.engine.streams[-1].options
        assert (changed.vocabulary, changed.prompt) == ((Term("Zoë"),), "Notes.")
        one.say(type="configure", vocabulary=[], prompt="")
        one.say(type="configure", vocabulary=[""])
        assert one.hear_until("error")["code"] == "bad_message"
        changed = server.engine.streams[-1].options
        assert (changed.vocabulary, changed.prompt) == ((), "")


def test_what_a_prompt_has_no_room_for_is_told(server: ScriptedServer) -> None:
    with started(server, prompt="old words " * 300) as one:
        warning = one.hear_until("warning")
        assert (warning["code"], warning["fatal"]) == ("vocabulary_too_long", False)
        assert "no room for the end of it" in warning["message"]
        one.say(type="configure", prompt="short")
        one.say(type="ping")
        one.hear_until("pong")
        one.say(type="configure", prompt="new words " * 300)
        assert one.hear_until("warning")["code"] == "vocabulary_too_long"
        one.say(type="stop")
        assert one.hear_out() == 1000
    codes = [message["code"] for message in one.messages if message["type"] == "warning"]
    assert codes.count("vocabulary_too_long") == 2

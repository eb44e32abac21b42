"""Clients of the native dialect that vanish, come back, stay away, do not read, or are one too many."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

import openmic.server.dialects.client_socket
from tests.support.conversation import Json
from tests.support.native_client import PCM, WAIT, client, key, started, tone
from tests.support.raw_socket import frame, shake_hands
from tests.support.scripted_engine import ScriptedEngine, ScriptedServer, scripted_server


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

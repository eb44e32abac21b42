"""The native dialect against a real server on loopback, with a real client library."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from openmic.speech.types import Term
from tests.support.conversation import Json
from tests.support.native_client import PCM, WAIT, Client, client, key, started, tone
from tests.support.scripted_engine import ScriptedServer, scripted_server


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

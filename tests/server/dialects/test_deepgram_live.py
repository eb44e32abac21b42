"""Deepgram's own SDK, unmodified, on ``/v1/listen`` and ``/v2/listen``, message by message."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from deepgram import AsyncDeepgramClient
from deepgram.core.events import EventType
from deepgram.environment import DeepgramClientEnvironment
from deepgram.listen.v1.types import ListenV1Metadata, ListenV1Results
from deepgram.listen.v2.types import ListenV2Connected, ListenV2TurnInfo
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from openmic.server.dialects.deepgram.results import Results, Wishes
from openmic.sessions.schemas import MOST_TERM_LETTERS, MOST_TERMS
from openmic.sessions.types import CommittedText, LiveText, Term, UtteranceOver, Word
from tests.support.running import running
from tests.support.scripted_engine import ScriptedServer, scripted_server

WAIT_SECONDS = 120
RAW = {"model": "nova-3", "encoding": "linear16", "sample_rate": "16000"}


def tone(seconds: float) -> bytes:
    return (np.sin(np.arange(round(16_000 * seconds)) / 10) * 8000).astype("<i2").tobytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("deepgram"), max_sessions=50) as running:
        yield running


def client(server: ScriptedServer, **credentials: str) -> AsyncDeepgramClient:
    web = server.url.replace("http", "ws")
    environment = DeepgramClientEnvironment(base=server.url, production=web, agent=web, agent_rest=server.url)
    return AsyncDeepgramClient(environment=environment, **(credentials or {"api_key": server.token}))


class Heard:
    """What an SDK's socket has told, for a test to wait on."""

    def __init__(self, socket: Any) -> None:
        self.messages: list[Any] = []
        self._news = asyncio.Event()
        self.socket = socket
        socket.on(EventType.MESSAGE, self._hear)
        self.listening = asyncio.create_task(socket.start_listening())

    def _hear(self, message: Any) -> None:
        self.messages.append(message)
        self._news.set()

    async def until(self, told: Callable[[Any], bool]) -> Any:
        async with asyncio.timeout(WAIT_SECONDS):
            while not (found := [message for message in self.messages if told(message)]):
                self._news.clear()
                await self._news.wait()
        return found[0]

    async def to_its_end(self) -> list[Any]:
        async with asyncio.timeout(WAIT_SECONDS):
            await self.listening
        return self.messages


def text(message: Any) -> str:
    return str(message.channel.alternatives[0].transcript)


@pytest.mark.parametrize("credentials", [{"api_key": "secret"}, {"access_token": "secret"}])
def test_a_stream_message_by_message(server: ScriptedServer, credentials: dict[str, str]) -> None:
    async def run() -> list[Any]:
        options = RAW | {"interim_results": "true", "keyterm": ["openmic:2", "Flux"], "language": "en-US"}
        async with client(server, **credentials).listen.v1.connect(**options) as socket:
            heard = Heard(socket)
            await socket.send_keep_alive()
            await socket.send_media(tone(1.0))
            await heard.until(lambda message: text(message) == "one")
            await socket.send_media(tone(0.5))
            await heard.until(lambda message: "listening" in text(message))
            await socket.send_finalize()
            await heard.until(lambda message: message.from_finalize)
            await socket.send_finalize()
            await socket.send_media(tone(1.0))
            await socket.send_close_stream()
            return await heard.to_its_end()

    messages = asyncio.run(run())
    *results, metadata = messages
    assert all(isinstance(message, ListenV1Results) for message in results)
    assert isinstance(metadata, ListenV1Metadata)
    finals = [message for message in results if message.is_final]
    assert [(text(one), one.speech_final, one.from_finalize) for one in finals] == [
        ("one two", True, True),
        ("", True, True),
        ("three", False, False),
    ]
    assert [(one.start, round(one.start + one.duration, 3)) for one in finals] == [(0, 1.5), (1.5, 1.5), (1.5, 2.5)]
    (first, second) = finals[0].channel.alternatives[0].words
    assert (first.word, first.punctuated_word, first.start, first.end, first.confidence) == ("one", "one", 0, 1, 1)
    assert second.end == 1.5
    for interim in (message for message in results if not message.is_final):
        assert interim.speech_final is interim.from_finalize is False
        assert interim.channel.alternatives[0].confidence in (0, 1) or text(interim).endswith("s")
    assert {message.metadata.request_id for message in results} == {metadata.request_id}
    assert results[0].metadata.model_info.name == "scripted"
    assert metadata.duration == 2.5
    ours = (metadata.model_extra or {})["openmic"]
    assert (ours["text"], ours["language"], ours["session_id"]) == ("heard 2.5 seconds", "en", metadata.request_id)
    session = server.sessions.get(metadata.request_id)
    assert session.options.language == "en"
    assert session.options.vocabulary == (Term("openmic"), Term("Flux"))
    kept = httpx.get(
        f"{server.url}/v1/sessions/{ours['session_id']}.json",
        headers={"Authorization": f"Bearer {ours['resume_token']}"},
        timeout=WAIT_SECONDS,
    )
    assert kept.json()["text"].strip() == "heard 2.5 seconds"


def test_without_interim_results_only_finals_come(server: ScriptedServer) -> None:
    async def run() -> list[Any]:
        async with client(server).listen.v1.connect(**RAW) as socket:
            heard = Heard(socket)
            await socket.send_media(tone(3.4))
            await heard.until(lambda message: bool(message.is_final))  # three seconds have gathered
            await socket.send_close_stream()
            return await heard.to_its_end()

    *results, _ = asyncio.run(run())
    assert [(text(one), one.is_final) for one in results] == [("one two three", True), ("four", True)]


def test_speech_in_a_container_has_starts_and_ends(server: ScriptedServer, sample_audio: Any) -> None:
    async def run() -> list[Any]:
        options = {"model": "x", "vad_events": "true", "utterance_end_ms": "1000", "endpointing": "300"}
        async with client(server).listen.v1.connect(**options) as socket:
            heard = Heard(socket)
            await socket.send_media((sample_audio / "quickstart.wav").read_bytes())
            await heard.until(lambda message: getattr(message, "speech_final", False) is True)
            await socket.send_close_stream()
            return await heard.to_its_end()

    messages = asyncio.run(run())
    kinds = [message.type for message in messages]
    assert kinds[-1] == "Metadata"
    assert kinds.count("SpeechStarted") >= 2
    assert sum(getattr(message, "speech_final", False) for message in messages) == kinds.count("SpeechStarted")
    stretches = [message for message in messages if message.type == "Results"]
    ends = [one.start + one.duration for one in stretches]
    assert all(abs(end - later.start) < 0.002 for end, later in zip(ends, stretches[1:], strict=False))


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ({"encoding": "linear16"}, 400, "sample_rate"),
        ({"encoding": "opus", "sample_rate": "16000"}, 400, "linear16"),
        ({"redact": "pci"}, 400, "redact"),
        ({"callback": "https://elsewhere.example"}, 400, "callback"),
        ({"language": "klingon"}, 400, "klingon"),
        ({"multichannel": "true", "channels": "2"}, 400, "multichannel"),
        ({"interim_results": "perhaps"}, 400, "interim_results"),
        ({"endpointing": "soon"}, 400, "endpointing"),
    ],
)
def test_what_cannot_be_done_is_refused_in_the_handshake(
    server: ScriptedServer, options: dict[str, str], status: int, said: str
) -> None:
    refused = denied(server, "secret", {"model": "x"} | options)
    assert refused.status_code == status
    body = json.loads(refused.body)
    assert said in body["err_msg"]
    assert set(body) == {"err_code", "err_msg", "request_id"}
    assert refused.headers["dg-error"]
    assert refused.headers["dg-request-id"] == body["request_id"]


def test_a_wrong_token_is_refused_in_the_handshake(server: ScriptedServer) -> None:
    refused = denied(server, "wrong", RAW)
    assert refused.status_code == 401
    assert json.loads(refused.body)["err_code"] == "INVALID_AUTH"


def denied(server: ScriptedServer, token: str, query: dict[str, str]) -> Any:
    address = httpx.URL(server.stream_url.replace("/v1/stream", "/v1/listen"), params=query)
    headers = {"Authorization": f"Token {token}"}
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(str(address), additional_headers=headers, open_timeout=WAIT_SECONDS),
    ):
        pass
    return refused.value.response


def test_a_browser_shows_its_token_as_a_subprotocol(server: ScriptedServer) -> None:
    address = httpx.URL(server.stream_url.replace("/v1/stream", "/v1/listen"), params=RAW)
    with connect(str(address), subprotocols=["token", "secret"], open_timeout=WAIT_SECONDS) as socket:  # type: ignore[list-item]
        assert socket.subprotocol == "token"
        socket.send("no json")
        assert json.loads(socket.recv(WAIT_SECONDS))["variant"] == "SchemaError"
        socket.send(json.dumps({"type": "Configure", "keyterms": ["a"]}))
        assert json.loads(socket.recv(WAIT_SECONDS))["type"] == "ConfigureSuccess"
        socket.send(b"")  # the old CloseStream
        assert json.loads(socket.recv(WAIT_SECONDS))["type"] == "Metadata"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(WAIT_SECONDS)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000


def test_what_is_no_audio_ends_the_stream_as_deepgram_ends_it(server: ScriptedServer) -> None:
    address = server.stream_url.replace("/v1/stream", "/v1/listen?model=x")
    with connect(address, additional_headers={"Authorization": "Token secret"}, open_timeout=WAIT_SECONDS) as socket:
        socket.send(b"Dear Sir or Madam, " * 5000)
        assert json.loads(socket.recv(WAIT_SECONDS))["code"] == "AUDIO_NOT_DECODABLE"
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(WAIT_SECONDS)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "DATA-0000")


def test_a_final_that_takes_long_is_not_waited_for(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("openmic.server.dialects.deepgram.listen.FINAL_SECONDS", 0.1)
    server.engine.may_finish.clear()
    try:
        address = httpx.URL(server.stream_url.replace("/v1/stream", "/v1/listen"), params=RAW)
        headers = {"Authorization": "Token secret"}
        with connect(str(address), additional_headers=headers, open_timeout=WAIT_SECONDS) as socket:
            socket.send(tone(1.2))
            socket.send('{"type": "CloseStream"}')
            *_, last = [json.loads(message) for message in socket]
    finally:
        server.engine.may_finish.set()
    assert last["type"] == "Metadata"
    assert "text" not in last["openmic"]
    session = server.sessions.get(last["openmic"]["session_id"])
    assert session.ended.wait(WAIT_SECONDS)


# --- results


def words(text: str, start: float, probability: float = 0.5) -> tuple[Word, ...]:
    return tuple(
        Word(f" {word}", start + 0.5 * number, start + 0.5 * number + 0.4, probability)
        for number, word in enumerate(text.split())
    )


def committed(text: str, start: float) -> CommittedText:
    said = words(text, start)
    return CommittedText(f" {text}", said[0].start, said[-1].end, said, "en")


def summary(messages: Iterator[Any]) -> list[tuple[Any, ...]]:
    told: list[tuple[Any, ...]] = []
    for message in messages:
        if message["type"] == "Results":
            marks = "".join(mark[0] for mark in ("is_final", "speech_final", "from_finalize") if message[mark])
            told.append((marks, message["channel"]["alternatives"][0]["transcript"], message["start"]))
        else:
            told.append((message["type"], message.get("last_word_end", message.get("timestamp"))))
    return told


def test_commits_are_gathered_to_a_sentence_or_three_seconds() -> None:
    results = Results(Wishes(interim=True), "id", "base")
    assert summary(results.commit(committed("Good morning", 0.0))) == []
    live = LiveText(" and", 1.0, 1.4, 1.5, 0.0, "en", words("and", 1.0))
    assert summary(results.show(live)) == [("", "Good morning and", 0.0)]
    assert summary(results.commit(committed("and hello.", 1.0))) == [("i", "Good morning and hello.", 0.0)]
    assert summary(results.commit(committed("a b c d e f", 3.0))) == []
    assert summary(results.commit(committed("g", 6.0))) == [("i", "a b c d e f g", 1.9)]
    assert summary(results.commit(committed("rest", 7.0))) == []
    assert summary(results.rest()) == [("i", "rest", 6.4)]


def test_an_utterance_is_told_over_once() -> None:
    results = Results(Wishes(), "id", "base")
    assert summary(results.end_utterance(UtteranceOver(1.0, "flush"))) == [("isf", "", 0.0)]
    assert summary(results.end_utterance(UtteranceOver(2.0, "flush"))) == [("isf", "", 1.0)]
    assert summary(results.end_utterance(UtteranceOver(2.5, "silence"))) == []  # nothing was said since
    assert summary(results.commit(committed("Yes.", 3.0))) == [("i", "Yes.", 2.0)]
    assert summary(results.end_utterance(UtteranceOver(4.0, "silence"))) == [("is", "", 3.4)]


def test_without_endpointing_silence_ends_nothing() -> None:
    results = Results(Wishes(speech_final=False), "id", "base")
    assert summary(results.commit(committed("yes", 0.0))) == []
    assert summary(results.end_utterance(UtteranceOver(1.0, "silence"))) == [("i", "yes", 0.0)]
    assert summary(results.end_utterance(UtteranceOver(2.0, "silence"))) == []


def test_an_utterances_end_waits_for_silence() -> None:
    async def run() -> None:
        results = Results(Wishes(utterance_end_seconds=1.0), "id", "base")
        for at, again in ((0.0, False), (10.0, True), (20.0, False)):
            list(results.commit(committed("yes", at)))
            assert summary(results.hear(at + 0.5)) == []
            list(results.end_utterance(UtteranceOver(at + 0.6, "silence")))
            assert summary(results.hear(at + 1.3)) == []
            if again:
                assert summary(results.start_speech(at + 1.3)) == []
                assert summary(results.hear(at + 5.0)) == []
            else:
                assert summary(results.hear(at + 1.4)) == [("UtteranceEnd", at + 0.4)]
                assert summary(results.hear(at + 5.0)) == []
        list(results.commit(committed("no", 30.0)))
        list(results.end_utterance(UtteranceOver(30.6, "silence")))
        assert summary(results.start_speech(31.5)) == [("UtteranceEnd", 30.4)]  # the pause was long enough

    asyncio.run(run())


def test_a_refused_handshake_has_each_header_once(server: ScriptedServer) -> None:
    """Of openmic's, and not beside those of the library: strict clients take such an answer for none."""
    asked = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Authorization": "Token wrong"}
    refused = httpx.get(f"{server.url}/v1/listen", headers=asked | key, timeout=WAIT_SECONDS)
    assert refused.status_code == 401
    assert refused.json()["err_code"] == "INVALID_AUTH"
    assert refused.headers.get_list("content-type") == ["application/json"]
    assert refused.headers.get_list("content-length") == [str(len(refused.content))]


# --- v2


def test_turns_message_by_message(server: ScriptedServer) -> None:
    async def run() -> list[Any]:
        options = {"model": "flux-general-en", "encoding": "linear16", "sample_rate": "16000", "eot_timeout_ms": "5000"}
        async with client(server).listen.v2.connect(**options) as socket:
            heard = Heard(socket)
            await socket.send_media(tone(1.5))
            await heard.until(lambda message: "listening" in str(getattr(message, "transcript", "")))
            await socket.send_force_end_turn()
            await heard.until(lambda message: getattr(message, "event", "") == "EndOfTurn")
            await socket.send_force_end_turn()  # nothing was said: no answer
            await socket.send_media(tone(0.7))
            await socket.send_close_stream()
            return await heard.to_its_end()

    messages = asyncio.run(run())
    assert isinstance(messages[0], ListenV2Connected)
    assert [message.sequence_id for message in messages] == list(range(len(messages)))
    turns = messages[1:]
    assert all(isinstance(message, ListenV2TurnInfo) for message in turns)
    marks = [(one.event, one.turn_index) for one in turns if one.event != "Update"]
    assert marks == [("StartOfTurn", 0), ("EndOfTurn", 0), ("StartOfTurn", 1), ("EndOfTurn", 1)]
    ends = [one for one in turns if one.event == "EndOfTurn"]
    assert [(one.transcript, one.trigger, one.end_of_turn_confidence) for one in ends] == [
        ("one two", "manual", 1.0),
        ("three", "manual", 1.0),
    ]
    assert [word.word for word in ends[0].words] == ["one", "two"]
    assert all(one.end_of_turn_confidence == 0.0 and one.words for one in turns if one.event == "Update")
    assert server.sessions.get(turns[0].request_id).ended.wait(WAIT_SECONDS)


@pytest.mark.parametrize(("timeout_ms", "silence_seconds"), [(400, 0.4), (2500, 0.6)])
def test_a_turns_silence_can_be_changed(server: ScriptedServer, timeout_ms: int, silence_seconds: float) -> None:
    """The longest that Flux would wait: the server's own silence counts where it is shorter."""
    assert server.sessions.settings.endpoint_silence_seconds == 0.6
    address = server.stream_url.replace("/v1/stream", "/v2/listen?model=flux&encoding=linear16&sample_rate=16000")
    with connect(address, additional_headers={"Authorization": "Token secret"}, open_timeout=WAIT_SECONDS) as socket:
        request_id = json.loads(socket.recv(WAIT_SECONDS))["request_id"]
        thresholds = {"eot_timeout_ms": timeout_ms}
        socket.send(json.dumps({"type": "Configure", "thresholds": thresholds}))
        assert json.loads(socket.recv(WAIT_SECONDS)) == {
            "type": "ConfigureSuccess",
            "thresholds": thresholds,
            "keyterms": [],
            "sequence_id": 1,
            "request_id": request_id,
        }
        decoding = running(server.sessions.get(request_id))._decode_thread
        assert decoding._voice.endpoint_silence_seconds == silence_seconds
        socket.send("?")
        assert json.loads(socket.recv(WAIT_SECONDS))["type"] == "Warning"


@pytest.mark.parametrize("path", ["/v1/listen", "/v2/listen"])
def test_terms_can_be_changed_in_the_stream(server: ScriptedServer, path: str) -> None:
    """Each list is in the place of all before, that of the handshake too; none at all changes nothing."""
    query = "?model=flux&encoding=linear16&sample_rate=16000&keyterm=Siobhan"
    address = server.stream_url.replace("/v1/stream", path + query)
    before = {snapshot.id for snapshot in server.sessions.list()}
    with connect(address, additional_headers={"Authorization": "Token secret"}, open_timeout=WAIT_SECONDS) as socket:

        def configured(**fields: Any) -> dict[str, Any]:
            socket.send(json.dumps({"type": "Configure", **fields}))
            while (told := json.loads(socket.recv(WAIT_SECONDS)))["type"] == "Connected":
                pass
            return dict(told)

        unchanged = configured()
        (new,) = {snapshot.id for snapshot in server.sessions.list()} - before
        stream = server.engine.streams[-1]
        assert (unchanged["type"], unchanged["request_id"]) == ("ConfigureSuccess", new)
        assert unchanged.get("keyterms") == (["Siobhan"] if path == "/v2/listen" else None)
        assert stream.options.vocabulary == (Term("Siobhan"),)
        changed = configured(keyterms=[" Zo\u00eb ", "Ay\u015fe"])
        assert (changed["type"], changed["keyterms"]) == ("ConfigureSuccess", ["Zo\u00eb", "Ay\u015fe"])
        assert stream.options.vocabulary == (Term("Zo\u00eb"), Term("Ay\u015fe"))
        for wrong, code in (
            (["x"] * (MOST_TERMS + 1), "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"),
            (["x" * (MOST_TERM_LETTERS + 1)], "CONFIGURE_KEYTERM_LIMIT_EXCEEDED"),
            ("Zo\u00eb", "CONFIGURE_KEYTERMS_INVALID"),
            ([1], "CONFIGURE_KEYTERMS_INVALID"),
        ):
            refused = configured(keyterms=wrong)
            assert (refused["type"], refused["code"]) == ("ConfigureFailure", code)
            assert refused["description"]
        assert stream.options.vocabulary == (Term("Zo\u00eb"), Term("Ay\u015fe"))
        assert configured(keyterms=[])["keyterms"] == []
        assert stream.options.vocabulary == ()


def test_what_flux_cannot_be_set_to_changes_nothing(server: ScriptedServer) -> None:
    address = server.stream_url.replace(
        "/v1/stream", "/v2/listen?encoding=linear16&sample_rate=16000&eot_threshold=0.8"
    )
    with connect(address, additional_headers={"Authorization": "Token secret"}, open_timeout=WAIT_SECONDS) as socket:
        session = server.sessions.get(json.loads(socket.recv(WAIT_SECONDS))["request_id"])
        silence = running(session)._decode_thread._voice.endpoint_silence_seconds
        for wrong in ({"eot_timeout_ms": float("nan")}, {"eot_timeout_ms": True}, {"eot_threshold": "high"}, ["x"]):
            socket.send(json.dumps({"type": "Configure", "thresholds": wrong, "keyterms": ["x"]}))
            assert json.loads(socket.recv(WAIT_SECONDS))["code"] == "CONFIGURE_THRESHOLDS_INVALID"
        socket.send(json.dumps({"type": "Configure", "language_hints": ["tr"], "keyterms": ["x"]}))
        assert json.loads(socket.recv(WAIT_SECONDS))["code"] == "CONFIGURE_LANGUAGE_HINTS_NOT_SUPPORTED"
        assert session.options.vocabulary == ()
        assert running(session)._decode_thread._voice.endpoint_silence_seconds == silence
        socket.send(json.dumps({"type": "Configure", "thresholds": {"eot_timeout_ms": 2000}}))
        assert json.loads(socket.recv(WAIT_SECONDS))["thresholds"] == {"eot_threshold": 0.8, "eot_timeout_ms": 2000}


def test_silence_ends_a_stream_with_deepgrams_reason(tmp_path: Path) -> None:
    with scripted_server(tmp_path, idle_seconds=0.3) as quiet:
        address = quiet.stream_url.replace("/v1/stream", "/v1/listen?encoding=linear16&sample_rate=16000")
        with connect(
            address, additional_headers={"Authorization": "Token secret"}, open_timeout=WAIT_SECONDS
        ) as socket:
            assert json.loads(socket.recv(WAIT_SECONDS))["message"] == "idle_too_long"
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(WAIT_SECONDS)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1011, "NET-0001")

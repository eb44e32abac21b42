"""What every dialect that streams is held to, whatever its words: the same checks over all of them."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from openmic.server.dialects.client_socket import Gone
from openmic.sessions.session import Session
from openmic.sessions.state import State
from tests.support.dialect_clients import (
    NAMES,
    WIRES,
    WYOMING,
    DialectClient,
    client_of,
    errors_told,
    tone,
    words_told,
)
from tests.support.raw_socket import frame
from tests.support.running import running
from tests.support.scripted_engine import ScriptedServer, scripted_server
from tests.support.waiting import PATIENCE_SECONDS, wait_until

ALL: dict[str, Any] = {"dialects": "openai deepgram assemblyai soniox wyoming", "wyoming_port": 0}
PIECES = 5  # in which a second of audio is sent
IN_MESSAGE = ("native", "soniox")  # take the token in the first message where the handshake has none
every_dialect = pytest.mark.parametrize("name", NAMES)
every_socket = pytest.mark.parametrize("name", WIRES)

TOLD: dict[str, dict[str, tuple[str | int, int | None]]] = {
    "token_revoked": {
        "native": ("token_revoked", 4401),
        "realtime": ("token_revoked", 1008),
        "listen": ("token_revoked", 1008),
        "flux": ("token_revoked", 1008),
        "assemblyai": (1008, 1008),
        "soniox": (401, 1008),
    },
    "server_full": {
        "native": ("server_full", 1013),
        "realtime": ("server_full", 1013),
        "assemblyai": (3009, 3009),
        "soniox": (503, 1013),
        "wyoming": ("server_full", None),
    },
    "message_too_large": {
        "native": ("message_too_large", 1009),
        "realtime": ("message_too_large", 1009),
        "listen": ("message_too_large", 1009),
        "flux": ("message_too_large", 1009),
        "assemblyai": (3007, 3007),
        "soniox": (413, 1009),
        "wyoming": ("message_too_large", None),
    },
    "idle_too_long": {
        "native": ("idle_too_long", 4408),
        "listen": ("idle_too_long", 1011),
        "flux": ("idle_too_long", 1011),
        "assemblyai": (4031, 4031),
        "soniox": (408, 1008),
        "wyoming": ("idle_too_long", None),
    },
    "audio_not_decodable": {
        "native": ("audio_not_decodable", 4415),
        "listen": ("audio_not_decodable", 1008),
        "flux": ("audio_not_decodable", 1008),
        "assemblyai": (3007, 3007),
        "soniox": (400, 1008),
    },
}
"""What an error is called in each dialect, and the close code behind it."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    folder = tmp_path_factory.mktemp("every")
    with scripted_server(folder, max_sessions=100, max_message_bytes=65_536, **ALL) as running:
        yield running


@pytest.fixture
def no_traceback(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a client does, the server has an answer to it."""
    yield
    failures = [record for record in caplog.get_records("call") if record.exc_info or "Exception" in record.message]
    assert not failures, [logging.Formatter().format(record) for record in failures]


@contextmanager
def speaker(
    server: ScriptedServer, name: str, seconds: float = 1.0, token: str = "secret"
) -> Iterator[tuple[DialectClient, Session]]:
    """A client that has begun and said something, and its session."""
    before = {snapshot.id for snapshot in server.sessions.list()}
    with client_of(server, name, token) as one:
        one.begin()
        speak(one, name, seconds)
        wait_until(lambda: {snapshot.id for snapshot in server.sessions.list()} - before)
        (new,) = {snapshot.id for snapshot in server.sessions.list()} - before
        yield one, server.sessions.get(new)


def speak(one: DialectClient, name: str, seconds: float) -> None:
    samples = tone(name, seconds)
    size = len(tone(name, 1 / PIECES))
    for start in range(0, len(samples), size):
        one.speak(samples[start : start + size])


def received(session: Session, name: str, seconds: float) -> None:
    wait_until(lambda: session.received_bytes >= len(tone(name, seconds)))


def is_told(name: str, one: DialectClient, problem: str) -> None:
    """All that is left is heard; its last error is ``problem``, in the words of the dialect."""
    code, close_code = TOLD[problem][name]
    assert one.hear_out() == close_code
    assert errors_told(name, one)[-1] == code


def fetched(server: ScriptedServer, session_id: str) -> dict[str, Any]:
    """What the owner of the server gets of a session, as JSON and as text."""
    address = f"{server.url}/v1/sessions/{session_id}"
    kept = httpx.get(f"{address}.json", headers=server.headers, timeout=PATIENCE_SECONDS)
    text = httpx.get(f"{address}.txt", headers=server.headers, timeout=PATIENCE_SECONDS)
    assert (kept.status_code, text.status_code) == (200, 200)
    found: dict[str, Any] = kept.json()
    assert text.text.split() == [segment["text"].strip() for segment in found["segments"]]
    return found


def metrics(server: ScriptedServer) -> dict[str, float]:
    text = httpx.get(f"{server.url}/metrics", headers=server.headers, timeout=PATIENCE_SECONDS).text
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {key: float(value) for key, _, value in lines}


# --- the token


@every_socket
@pytest.mark.parametrize("token", ["wrong", None])
def test_nobody_speaks_without_the_token(server: ScriptedServer, name: str, token: str | None) -> None:
    before, opened = metrics(server), server.sessions.known.opened_total
    code = "token_wrong" if token is not None else "token_missing"
    if name == "native" or (name in IN_MESSAGE and token is None):
        with client_of(server, name, token) as one:
            with suppress(ConnectionClosed):  # it may be refused before it says anything
                for message in WIRES[name].first:
                    one.send(json.dumps(message))
            assert one.hear_out() == (4401 if name == "native" else 1008)
            assert errors_told(name, one) == [code if name == "native" else 401]
    else:
        with pytest.raises(InvalidStatus) as refused, client_of(server, name, token):
            pass
        response = refused.value.response
        assert response.status_code == 401
        assert response.headers["Content-Type"] == "application/json"
        assert isinstance(json.loads(response.body), dict)
        assert "secret" not in response.body.decode()
    assert server.sessions.known.opened_total == opened
    counted = f'openmic_errors_total{{code="{code}"}}'
    wait_until(lambda: metrics(server)[counted] == before.get(counted, 0) + 1)


@every_socket
def test_a_revoked_token_ends_the_connection_and_what_was_said_is_kept(server: ScriptedServer, name: str) -> None:
    key, secret = server.keys.make("tester")
    with speaker(server, name, 2.0, token=secret) as (one, session):
        received(session, name, 2.0)
        server.keys.revoke(key.id)
        is_told(name, one, "token_revoked")
    assert session.ended.wait(PATIENCE_SECONDS)
    assert fetched(server, session.id)["text"] == " heard 2.0 seconds"
    if name == "native":
        with client_of(server, name, secret) as again:
            is_told(name, again, "token_revoked")
        return
    with pytest.raises(InvalidStatus) as refused, client_of(server, name, secret):
        pass
    assert refused.value.response.status_code == 401


# --- limits


@every_dialect
def test_one_session_too_many_is_refused_until_a_place_is_free(tmp_path: Path, name: str) -> None:
    with scripted_server(tmp_path, max_sessions=1, **ALL) as server, speaker(server, name) as (one, session):
        if name in TOLD["server_full"]:
            with client_of(server, name) as other:
                if name == "realtime":  # a connection without audio takes no place
                    other.begin()
                    other.speak(tone(name, 0.1))
                elif name == WYOMING:
                    other.begin()
                else:
                    for message in WIRES[name].first:
                        other.send(json.dumps(message))
                is_told(name, other, "server_full")
        else:
            with pytest.raises(InvalidStatus) as refused, client_of(server, name):
                pass
            assert refused.value.response.status_code == 503
            assert int(refused.value.response.headers["Retry-After"]) >= 1
        assert server.sessions.known.opened_total == 1
        one.finish()
        assert (session.ended.wait(PATIENCE_SECONDS) or name == "realtime") is True
        with speaker(server, name) as (other, _):
            other.finish()
            assert words_told(name, other) == (["heard", "1.0", "seconds"] if name == WYOMING else ["one"])
        counted = 'openmic_errors_total{code="server_full"}'
        wait_until(lambda: metrics(server).get(counted) == 1)


@every_dialect
def test_a_message_over_the_limit_ends_the_connection_and_loses_nothing(server: ScriptedServer, name: str) -> None:
    before = metrics(server)
    with speaker(server, name, 2.0) as (one, session):
        if name == WYOMING:  # the length is told before the bytes
            one.send('{"type": "audio-chunk", "payload_length": 65537}\n')
        else:
            one.speak(bytes(65_537))
        is_told(name, one, "message_too_large")
    if name != "native":  # which may come back for its session
        assert session.ended.wait(PATIENCE_SECONDS)
        assert fetched(server, session.id)["text"] == " heard 2.0 seconds"
    counted = 'openmic_errors_total{code="message_too_large"}'
    wait_until(lambda: metrics(server)[counted] == before.get(counted, 0) + 1)


@every_dialect
def test_too_many_messages_are_slowed_and_none_is_lost(tmp_path: Path, name: str) -> None:
    with scripted_server(tmp_path, max_message_rate=100, **ALL) as server:
        began = time.monotonic()
        with speaker(server, name, 0.2) as (one, session):
            for _ in range(240):  # 2 s of them at once, the others at their rate
                one.speak(tone(name, 0.01))
            one.finish()
        assert time.monotonic() - began > 0.3
        assert session.ended.wait(PATIENCE_SECONDS)
    assert session.recording.seconds == pytest.approx(2.6, abs=0.02)


@every_dialect
def test_a_client_faster_than_decoding_is_slowed_by_its_socket(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    most, seconds = 65_536, 24.0
    with scripted_server(tmp_path, max_backlog_bytes=most, **ALL) as server, speaker(server, name) as (one, session):
        received(session, name, 1.0)
        may_decode, on_samples = threading.Event(), running(session).on_samples

        def slow(*heard: Any, **more: Any) -> None:
            may_decode.wait(PATIENCE_SECONDS)
            on_samples(*heard, **more)

        monkeypatch.setattr(session, "on_samples", slow)
        sender = threading.Thread(target=lambda: speak(one, name, seconds - 1.0))
        sender.start()
        piece = len(tone(name, 1 / PIECES))
        wait_until(lambda: session.backlog_bytes > most)
        time.sleep(0.2)  # it must not have grown meanwhile
        assert session.backlog_bytes <= most + 2 * piece
        assert metrics(server)["openmic_backlog_bytes"] > 0
        may_decode.set()
        sender.join(PATIENCE_SECONDS)
        one.finish()
        assert errors_told(name, one) == []
    assert session.ended.wait(PATIENCE_SECONDS)
    assert session.recording.seconds == seconds


# --- how it ends


@every_dialect
@pytest.mark.parametrize("deaf", [False, True])
def test_a_cut_connection_ends_in_a_final_that_its_owner_can_fetch(tmp_path: Path, name: str, deaf: bool) -> None:
    """All that had arrived is in it, and on the disk; ``deaf``: the server's own writing fails as well."""
    with scripted_server(tmp_path, resume_seconds=0.1, **ALL) as server, speaker(server, name, 2.4) as (one, session):
        if deaf or name == "native":  # which sends again what was not acknowledged
            received(session, name, 2.4)
        one.hang_up(deaf=deaf)
        assert session.ended.wait(PATIENCE_SECONDS)
        kept = fetched(server, session.id)
        assert kept["text"] == " heard 2.4 seconds"
        assert kept["error"] is None
        wait_until(lambda: metrics(server)["openmic_connections"] == 0)
    with scripted_server(tmp_path, **ALL) as server:
        assert fetched(server, session.id)["text"] == " heard 2.4 seconds"


@every_dialect
def test_what_was_received_survives_the_server(tmp_path: Path, name: str) -> None:
    with scripted_server(tmp_path / "first", **ALL) as server, speaker(server, name, 2.4) as (_, session):
        received(session, name, 2.4)
        shutil.copytree(tmp_path / "first", tmp_path / "second")  # as a server finds it that this one's death left
    with scripted_server(tmp_path / "second", resume_seconds=0.0, **ALL) as server:
        found = server.sessions.get(session.id)
        assert found.ended.wait(PATIENCE_SECONDS)
        assert fetched(server, session.id)["text"] == " heard 2.4 seconds"


@every_dialect
def test_silence_ends_a_session_whatever_keepalives_say(tmp_path: Path, name: str) -> None:
    with (
        scripted_server(tmp_path, idle_seconds=0.5, max_sessions=1, **ALL) as server,
        speaker(server, name) as (one, session),
    ):
        over = threading.Event()

        def keep_alive() -> None:
            while not over.wait(0.05):
                try:
                    one.send('{"type": "ping"}\n' if name == WYOMING else WIRES[name].keepalive)
                except (ConnectionClosed, OSError):
                    return

        keeper = threading.Thread(target=keep_alive)
        keeper.start()
        if name == "realtime":  # the connection may be quiet for long; it has no place meanwhile
            assert session.ended.wait(PATIENCE_SECONDS)
        else:
            is_told(name, one, "idle_too_long")
        over.set()
        keeper.join(PATIENCE_SECONDS)
        assert session.ended.wait(PATIENCE_SECONDS)
        assert fetched(server, session.id)["error"] == "idle_too_long"
        with client_of(server, name) as other:
            other.begin()


@every_dialect
def test_a_server_that_stops_tells_who_speaks_and_keeps_the_final(tmp_path: Path, name: str) -> None:
    with scripted_server(tmp_path, **ALL) as server, speaker(server, name, 2.0) as (one, session):
        received(session, name, 2.0)
        wait_until(session.commits)
        stopper = threading.Thread(target=server.thread.stop)
        stopper.start()
        assert one.hear_out() == (None if name == WYOMING else 1001)
        stopper.join(PATIENCE_SECONDS)
        assert not server.thread.running
        assert words_told(name, one) == (["heard", "2.0", "seconds"] if name == WYOMING else ["one", "two"])
    with scripted_server(tmp_path, **ALL) as server:
        assert fetched(server, session.id)["text"] == " heard 2.0 seconds"


@pytest.mark.parametrize("name", [name for name in WIRES if name not in ("native", "realtime")])
def test_a_client_that_goes_while_its_session_is_opened_leaves_none_open(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows the name of that session: it must not keep its place until its client could have come back."""
    with scripted_server(tmp_path, **ALL) as server:
        asked, may_open, create = threading.Event(), threading.Event(), server.sessions.create

        def slow(*arguments: Any, **more: Any) -> Session:
            asked.set()
            may_open.wait(PATIENCE_SECONDS)
            return create(*arguments, **more)

        monkeypatch.setattr(server.sessions, "create", slow)
        with socket.create_connection(("127.0.0.1", server.thread.port)) as raw:
            raw.sendall(handshake(name))
            if WIRES[name].first:
                assert b"101" in raw.recv(12)
                raw.sendall(frame(0x1, json.dumps(WIRES[name].first[0]).encode()))
            assert asked.wait(PATIENCE_SECONDS)
        may_open.set()
        wait_until(lambda: [one.state for one in server.sessions.list()] == [State.ENDED])
        wait_until(lambda: metrics(server)["openmic_connections"] == 0)


def handshake(name: str) -> bytes:
    wire = WIRES[name]
    return (
        f"GET {wire.path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Authorization: {wire.scheme}secret\r\n\r\n"
    ).encode()


@pytest.mark.parametrize("name", [name for name in WIRES if name != "native"])  # which sends again what was not told
def test_what_had_arrived_is_read_though_nothing_can_be_told_any_more(tmp_path: Path, name: str) -> None:
    """The server's first word after the cut is answered by a reset, while it still has much to read."""
    with scripted_server(tmp_path, **ALL) as server, speaker(server, name) as (one, session):
        received(session, name, 1.0)
        may_write, write = threading.Event(), session.write

        def slow(data: bytes) -> int:
            may_write.wait(PATIENCE_SECONDS)
            return write(data)

        session.write = slow  # type: ignore[method-assign]
        speak(one, name, 1.4)
        (connection,) = server.thread._app.state.connections._tasks
        broken = threading.Event()

        async def gone(_: object) -> None:
            broken.set()
            raise Gone

        connection._socket.send = gone
        session.flush()  # its answer cannot be sent
        assert broken.wait(PATIENCE_SECONDS)
        one.hang_up(deaf=False)
        may_write.set()
        assert session.ended.wait(PATIENCE_SECONDS)
        assert fetched(server, session.id)["text"] == " heard 2.4 seconds"


# --- nonsense

NONSENSE = {
    "no JSON": "no json",
    "no object": "[1, 2]",
    "an unknown type": '{"type": "dance"}',
    "half a character": '{"type": "\\ud800", "event_id": "\\udfff"}',
    "much in each other": "[" * 20_000,
}
OF_THEIR_OWN = {
    "realtime": '{"type": "session.update", "session": {"audio": {"input": {"turn_detection": 5}}}}',
    "listen": '{"type": "Configure", "keyterms": 5}',
    "flux": '{"type": "Configure", "thresholds": {"eot_timeout_ms": NaN}}',
    "assemblyai": '{"type": "UpdateConfiguration", "max_turn_silence": NaN}',
    "native": '{"type": "configure", "endpoint_silence_seconds": NaN}',
}
"""What has a form that each knows, and no meaning."""


@every_socket
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_nonsense_is_told_and_disturbs_nobody(
    server: ScriptedServer, name: str, nonsense: str, no_traceback: None
) -> None:
    with speaker(server, name, 1.0) as (other, bystander):
        with speaker(server, name, 1.0) as (one, session):
            received(session, name, 1.0)
            one.send(NONSENSE[nonsense])
            one.hear_where(lambda _: errors_told(name, one))
        assert session.state is State.RECEIVING or session.ended.wait(PATIENCE_SECONDS)
        speak(other, name, 1.0)
        received(bystander, name, 2.0)
        other.finish()
        assert words_told(name, other) == ["one", "two"]
        assert errors_told(name, other) == []


@pytest.mark.parametrize("name", OF_THEIR_OWN)
def test_a_change_that_makes_no_sense_is_told(server: ScriptedServer, name: str, no_traceback: None) -> None:
    with speaker(server, name) as (one, session):
        silence = running(session)._decode_thread._voice.endpoint_silence_seconds
        one.send(OF_THEIR_OWN[name])
        one.hear_where(lambda message: errors_told(name, one) or message["type"] == "ConfigureFailure")
        assert running(session)._decode_thread._voice.endpoint_silence_seconds == silence


@pytest.mark.parametrize("rate", ["NaN", "Infinity", "true", "1" + "0" * 400, '"16000"'])
def test_a_rate_that_is_no_number_is_told(server: ScriptedServer, rate: str, no_traceback: None) -> None:
    with client_of(server, "soniox") as one:
        one.send(json.dumps(WIRES["soniox"].first[0] | {"sample_rate": "RATE"}).replace('"RATE"', rate))
        assert one.hear_out() == 1008
        assert errors_told("soniox", one) == [400]


@pytest.mark.parametrize("name", TOLD["audio_not_decodable"])
def test_what_is_no_audio_is_told_and_disturbs_nobody(server: ScriptedServer, name: str, no_traceback: None) -> None:
    with speaker(server, name, 1.0) as (other, bystander):
        with client_of(server, name, container=True) as one:
            one.begin()
            one.send(b"Dear Sir or Madam, " * 3000)
            is_told(name, one, "audio_not_decodable")
        speak(other, name, 1.0)
        received(bystander, name, 2.0)
        other.finish()
        assert words_told(name, other) == ["one", "two"]


# --- metrics


@every_dialect
def test_it_is_counted(tmp_path: Path, name: str) -> None:
    with scripted_server(tmp_path, **ALL) as server:
        with speaker(server, name, 2.0) as (one, session):
            received(session, name, 2.0)
            during = metrics(server)
            assert during["openmic_sessions_opened_total"] == 1
            assert during['openmic_sessions{state="receiving"}'] == 1
            assert during["openmic_connections"] == 1
            assert during["openmic_received_bytes_total"] == len(tone(name, 2.0))
            one.finish()
        assert session.ended.wait(PATIENCE_SECONDS)
        wait_until(lambda: metrics(server)["openmic_connections"] == 0)
        after = metrics(server)
        assert after['openmic_sessions{state="ended"}'] == 1
        assert after["openmic_audio_seconds_total"] == 2.0
        assert after["openmic_backlog_bytes"] == 0

"""A third dialect, a line of JSON a message, has resume, limits, back-pressure and metrics by its few lines alone."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.responses import Response
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from openmic.errors import OpenmicError
from openmic.server.access.credentials import bearer_token
from openmic.server.dialects.connection import StreamConnection
from openmic.server.dialects.dialect import (
    Answer,
    Asked,
    Audio,
    Configure,
    Endpoints,
    Frame,
    Notice,
    Outgoing,
    Rejected,
    Stop,
)
from openmic.server.problems import PROBLEMS
from openmic.server.statuses import close_code, error_response
from openmic.sessions.events import Committed, Ended, Failed, Finalised, Replaced, Warned
from openmic.sessions.session import Session
from openmic.sessions.types import AudioFormat, SpeechOptions
from tests.support.running import running
from tests.support.scripted_engine import ScriptedServer, scripted_server

WAIT_SECONDS = 120
PATH = "/v1/lines"
CURT = "/v1/curt"
SECOND = (np.sin(np.arange(16_000) / 10) * 8000).astype("<i2").tobytes()


# --- the dialect


class LineDialect:
    """First ``{"rate": 16000}`` or ``{"again": ID, "secret": ...}``, then audio, then ``{"end": true}``."""

    resumes = True
    renews = False

    def subprotocol(self, offered: list[str]) -> str | None:
        return None

    def shown_token(self, websocket: WebSocket) -> str | None:
        return bearer_token(websocket)

    async def begin(self, connection: StreamConnection) -> Session:
        first = _read(await connection.first_frame())
        connection.authenticate(first.get("token"), begins="again" not in first)
        if "again" in first:
            session = await connection.resume(first["again"], first["secret"])
        else:
            session = await connection.open(AudioFormat("pcm_s16le", first["rate"], 1), SpeechOptions())
        hello = {"id": session.id, "secret": session.resume_token, "have": session.received_bytes}
        await connection.attach(session, [_line(**hello)], first.get("seen", 0))
        return session

    def read(self, frame: Frame) -> Asked:
        if isinstance(frame, bytes):
            return Audio(frame)
        return Stop() if _read(frame).get("end") else None

    def write(self, outgoing: Outgoing) -> Iterator[Frame]:
        match outgoing:
            case Committed(seq, committed):
                yield _line(seq=seq, said=committed.text)
            case Finalised(seq, final):
                yield _line(seq=seq, all=final.text)
            case Answer(message):
                yield _line(**message)
            case Notice(error) | Rejected(error) | Warned(error) | Failed(error):
                yield _line(wrong=error.code)

    def deny(self, error: OpenmicError) -> Response | None:
        return None

    def refuse(self, error: OpenmicError) -> tuple[list[Frame], int]:
        return [_line(wrong=error.code)], close_code(error.code)

    def close_code(self, last: Ended | Failed | Replaced) -> int:
        return close_code(last.error.code) if isinstance(last, Failed) else 1000


class CurtDialect(LineDialect):
    """Begins with the handshake, whose query has the rate; refuses by HTTP, and nobody comes back."""

    resumes = False

    async def begin(self, connection: StreamConnection) -> Session:
        connection.authenticate(None, begins=True)
        rate = int(connection.websocket.query_params.get("rate", "16000"))
        session = await connection.open(AudioFormat("pcm_s16le", rate, 1), SpeechOptions())
        await connection.attach(session, [_line(id=session.id, secret=session.resume_token)])
        return session

    def read(self, frame: Frame) -> Asked:
        asked = super().read(frame)
        if asked is None and isinstance(frame, str) and (patience := _read(frame).get("patience")):
            return Configure(patience, answer=Answer({"patience": patience}))
        return asked

    def deny(self, error: OpenmicError) -> Response | None:
        return error_response(error)


def _line(**fields: object) -> str:
    return json.dumps(fields) + "\n"


def _read(frame: Frame) -> dict[str, Any]:
    try:
        return dict(json.loads(frame))
    except ValueError as error:
        raise PROBLEMS.error("bad_json") from error


# --- what it gets for nothing


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    spoken = {"lines": Endpoints({PATH: LineDialect})}
    with scripted_server(
        tmp_path_factory.mktemp("lines"), spoken=spoken, dialects="lines", max_message_bytes=65_536, max_sessions=2
    ) as running:
        yield running


def opened(server: ScriptedServer, token: str = "secret", path: str = PATH, **headers: str) -> ClientConnection:
    address = server.stream_url.replace("/v1/stream", path)
    shown = {"Authorization": f"Bearer {token}"} if token else {}
    return connect(address, additional_headers=shown | headers, open_timeout=WAIT_SECONDS)


def lines(connection: ClientConnection) -> tuple[list[dict[str, Any]], int]:
    """All that comes, and the close code."""
    told: list[dict[str, Any]] = []
    try:
        while True:
            told.append(json.loads(connection.recv(WAIT_SECONDS)))
    except ConnectionClosed as closed:
        return told, closed.rcvd.code if closed.rcvd is not None else 1006


def begin(connection: ClientConnection, **first: object) -> dict[str, Any]:
    connection.send(_line(**first))
    return dict(json.loads(connection.recv(WAIT_SECONDS)))


def test_it_streams(server: ScriptedServer) -> None:
    with opened(server) as one:
        assert begin(one, rate=16_000)["have"] == 0
        one.send(SECOND)
        one.send(_line(end=True))
        told, code = lines(one)
    assert (told, code) == ([{"seq": 1, "said": " one"}, {"seq": 2, "all": " heard 1.0 seconds"}], 1000)


def test_it_resumes(server: ScriptedServer) -> None:
    with opened(server) as one:
        known = begin(one, rate=16_000)
        one.send(SECOND)
        assert json.loads(one.recv(WAIT_SECONDS)) == {"seq": 1, "said": " one"}
    with opened(server) as again:
        assert begin(again, again=known["id"], secret=known["secret"], seen=1)["have"] == len(SECOND)
        again.send(SECOND)
        again.send(_line(end=True))
        told, code = lines(again)
    assert [line.get("said", line.get("all")) for line in told] == [" two", " heard 2.0 seconds"]
    assert code == 1000


@pytest.mark.parametrize(
    ("sent", "wrong", "code"),
    [
        ("no json", "bad_json", 4400),
        (_line(again="nobody", secret="x"), "unknown_session", 4404),
        (_line(rate=1), "audio_rate_invalid", 4400),
    ],
)
def test_what_is_not_understood_is_told(server: ScriptedServer, sent: str, wrong: str, code: int) -> None:
    with opened(server) as one:
        one.send(sent)
        assert lines(one) == ([{"wrong": wrong}], code)


def test_it_is_held_to_the_token_and_the_limits(server: ScriptedServer) -> None:
    with opened(server, token="another") as stranger:
        assert lines(stranger) == ([{"wrong": "token_wrong"}], 4401)
    with opened(server) as loud:
        begin(loud, rate=16_000)
        loud.send(bytes(65_537))
        assert lines(loud) == ([{"wrong": "message_too_large"}], 1009)


def test_it_is_counted(server: ScriptedServer) -> None:
    metrics = httpx.get(f"{server.url}/metrics", headers=server.headers, timeout=WAIT_SECONDS).text
    assert 'openmic_errors_total{code="bad_json"}' in metrics
    with opened(server) as one:
        known = begin(one, rate=16_000)
        listed = httpx.get(f"{server.url}/v1/sessions", headers=server.headers, timeout=WAIT_SECONDS).json()["sessions"]
        assert {one["id"]: one["state"] for one in listed}[known["id"]] == "receiving"


# --- what a dialect without resume gets


@pytest.fixture
def curt(tmp_path: Path) -> Iterator[ScriptedServer]:
    spoken = {"lines": Endpoints({CURT: CurtDialect})}
    with scripted_server(tmp_path, spoken=spoken, dialects="lines", max_sessions=2) as running:
        yield running


@pytest.mark.parametrize(
    ("token", "path", "headers", "status", "code"),
    [
        ("", CURT, {}, 401, "token_missing"),
        ("another", CURT, {}, 401, "token_wrong"),
        ("secret", CURT, {"Origin": "https://elsewhere.example"}, 403, "origin_not_allowed"),
        ("secret", f"{CURT}?rate=1", {}, 400, "audio_rate_invalid"),
    ],
)
def test_a_handshake_is_refused_over_http(
    curt: ScriptedServer, token: str, path: str, headers: dict[str, str], status: int, code: str
) -> None:
    with pytest.raises(InvalidStatus) as refused:
        opened(curt, token, path, **headers)
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["error"]["code"] == code
    metrics = httpx.get(f"{curt.url}/metrics", headers=curt.headers, timeout=WAIT_SECONDS).text
    assert f'openmic_errors_total{{code="{code}"}}' in metrics


def test_a_full_server_says_when_to_come_again(curt: ScriptedServer) -> None:
    with opened(curt, path=CURT) as one, opened(curt, path=CURT) as two:
        for connection in (one, two):
            connection.recv(WAIT_SECONDS)
        with pytest.raises(InvalidStatus) as refused:
            opened(curt, path=CURT)
    assert refused.value.response.status_code == 503
    assert int(refused.value.response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("goodbye", [True, False])
def test_a_client_that_hangs_up_ends_its_session_at_once(curt: ScriptedServer, goodbye: bool) -> None:
    with opened(curt, path=CURT) as one:
        known = json.loads(one.recv(WAIT_SECONDS))
        one.send(SECOND)
        one.recv(WAIT_SECONDS)
        if not goodbye:
            one.socket.shutdown(socket.SHUT_RDWR)
    session = curt.sessions.get(known["id"])
    assert session.ended.wait(WAIT_SECONDS)  # in no time, and not after resume_seconds
    headers = {"Authorization": f"Bearer {known['secret']}"}
    kept = httpx.get(f"{curt.url}/v1/sessions/{known['id']}.json", headers=headers, timeout=WAIT_SECONDS).json()
    assert kept["text"] == " heard 1.0 seconds"


def test_the_silence_that_ends_an_utterance_can_be_changed_in_the_stream(curt: ScriptedServer) -> None:
    with opened(curt, path=CURT) as one:
        known = json.loads(one.recv(WAIT_SECONDS))
        one.send(_line(patience=99.0))
        assert json.loads(one.recv(WAIT_SECONDS)) == {"patience": 99.0}
        decoding = running(curt.sessions.get(known["id"]))._decode_thread
        assert decoding._voice.endpoint_silence_seconds == 5.0


def test_only_named_dialects_are_spoken(tmp_path: Path) -> None:
    spoken = {"lines": Endpoints({PATH: LineDialect}), "curt": Endpoints({CURT: CurtDialect})}
    with scripted_server(tmp_path, spoken=spoken, dialects="curt") as server:
        with opened(server, path=CURT) as one:
            assert "id" in json.loads(one.recv(WAIT_SECONDS))
        with pytest.raises(InvalidStatus) as refused:
            opened(server)
        assert refused.value.response.status_code in (403, 404)


def test_a_name_that_is_no_dialect_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OpenmicError, match="morse") as refused, scripted_server(tmp_path, dialects="openai morse"):
        pass
    assert refused.value.code == "unknown_dialect"

"""A third dialect, a line of JSON a message, has resume, limits, back-pressure and metrics by its few lines alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.websockets import WebSocket
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from openmic.errors import OpenmicError
from openmic.server.access.credentials import bearer_token
from openmic.server.app import DIALECTS
from openmic.server.dialects.connection import StreamConnection
from openmic.server.dialects.dialect import Asked, Audio, Frame, Notice, Outgoing, Rejected, Stop
from openmic.server.problems import PROBLEMS, close_code
from openmic.sessions.events import Committed, Ended, Failed, Finalised, Replaced, Warned
from openmic.sessions.session import Session
from openmic.sessions.types import AudioFormat, SpeechOptions
from tests.support.scripted_engine import ScriptedServer, scripted_server

WAIT_SECONDS = 120
PATH = "/v1/lines"
SECOND = (np.sin(np.arange(16_000) / 10) * 8000).astype("<i2").tobytes()


# --- the dialect


class LineDialect:
    """First ``{"rate": 16000}`` or ``{"again": ID, "secret": ...}``, then audio, then ``{"end": true}``."""

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
            case Notice(error) | Rejected(error) | Warned(error) | Failed(error):
                yield _line(wrong=error.code)

    def refuse(self, error: OpenmicError) -> tuple[list[Frame], int]:
        return [_line(wrong=error.code)], close_code(error.code)

    def close_code(self, last: Ended | Failed | Replaced) -> int:
        return close_code(last.error.code) if isinstance(last, Failed) else 1000


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
    dialects = {**DIALECTS, PATH: LineDialect}
    with scripted_server(
        tmp_path_factory.mktemp("lines"), dialects=dialects, max_message_bytes=65_536, max_sessions=2
    ) as running:
        yield running


def opened(server: ScriptedServer, token: str = "secret") -> ClientConnection:
    address = server.stream_url.replace("/v1/stream", PATH)
    return connect(address, additional_headers={"Authorization": f"Bearer {token}"}, open_timeout=WAIT_SECONDS)


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

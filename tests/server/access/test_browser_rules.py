"""What pages of others can do from a browser of somebody who may come in: the server's names, CORS, redirects."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.support.scripted_engine import ScriptedServer, scripted_server

ALLOWED = "https://friend.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("rules"), allowed_origins=ALLOWED, max_sessions=50) as running:
        running.thread.announce_public_url("https://name.ngrok-free.app")
        yield running


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        ("localhost:8000", True),
        ("127.0.0.1", True),
        ("[::1]:9", True),
        ("192.168.1.7:8000", True),
        ("whisper", True),
        ("laptop.local:8000", True),
        ("name.ngrok-free.app", True),
        ("NAME.ngrok-free.app.", True),
        ("friend.example", True),
        ("evil.example:8000", False),
        ("127.0.0.1.evil.example", False),
        ("name.ngrok-free.app.evil.example", False),
        ("evil.example:8000:9", False),
    ],
)
def test_a_page_whose_name_was_made_to_lead_here_gets_nothing(server: ScriptedServer, host: str, passes: bool) -> None:
    for path in ("/", "/healthz", "/v1/sessions"):
        answer = httpx.get(server.url + path, headers={**server.headers, "Host": host})
        assert answer.status_code == (200 if passes else 403), path
        if not passes:
            assert answer.json()["error"]["code"] == "host_not_allowed"
    origin = f"http://{host}"
    with socket.create_connection(("127.0.0.1", server.thread.port)) as line:
        uri = f"ws://{host}/v1/stream" if host.count(":") < 2 or host.startswith("[") else None
        if uri is None:
            return
        with connect(uri, sock=line, additional_headers=server.headers, origin=Origin(origin)) as one:
            with suppress(ConnectionClosed):  # it may be refused before it says anything
                one.send('{"type": "start"}')
            first = json.loads(one.recv(60))
            if passes:
                assert first["type"] == "ready"
                return
            assert first["code"] == "host_not_allowed"
            with pytest.raises(ConnectionClosed) as closed:
                one.recv(60)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4403


def test_pages_that_are_allowed_may_read_answers_and_errors(server: ScriptedServer) -> None:
    for origin, allowed in ((ALLOWED, True), ("http://localhost:3000", True), ("https://evil.example", False)):
        asked = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        preflight = httpx.options(server.url + "/v1/audio/transcriptions", headers=asked)
        headers = {"Origin": origin}
        answers = [
            httpx.get(server.url + "/v1/sessions", headers={**server.headers, **headers}),
            httpx.get(server.url + "/v1/sessions", headers=headers),
            httpx.post(server.url + "/v1/audio/transcriptions", headers={**server.headers, **headers}),
            httpx.get(server.url + "/nothing", headers=headers),
        ]
        told = [answer.headers.get("access-control-allow-origin") for answer in (preflight, *answers)]
        assert told == [origin if allowed else None] * 5
        assert preflight.status_code == (204 if allowed else 405)
        assert all("access-control-allow-credentials" not in answer.headers for answer in (preflight, *answers))
        if allowed:
            assert [answer.status_code for answer in answers] == [200, 401, 400, 404]
            assert "Authorization" in preflight.headers["access-control-allow-headers"]
            assert "DELETE" in preflight.headers["access-control-allow-methods"]


def test_a_fault_of_the_server_is_told_to_pages_too(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.sessions, "list", lambda: 1 / 0)
    answer = httpx.get(server.url + "/v1/sessions", headers={**server.headers, "Origin": ALLOWED})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "request_failed")
    assert answer.headers["access-control-allow-origin"] == ALLOWED


@pytest.mark.parametrize("path", ["/healthz/", "/index.html/", "/v1/sessions/"])
def test_nothing_leads_to_where_the_client_says_the_server_is(server: ScriptedServer, path: str) -> None:
    answer = httpx.get(server.url + path, headers={**server.headers, "Host": "localhost:1"})
    assert answer.status_code == 404
    assert "location" not in answer.headers

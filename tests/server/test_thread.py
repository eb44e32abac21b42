from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from websockets.sync.client import connect

from openmic.audio.decoder import AudioFormat
from openmic.errors import OpenmicError
from openmic.server.app import create_app
from openmic.server.thread import ServerThread
from openmic.sessions.registry import Sessions
from openmic.settings import Settings
from openmic.speech.types import SpeechOptions
from tests.support.scripted_engine import ScriptedEngine, scripted_server

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    settings = Settings(data_dir=tmp_path, stop_seconds=2.0)
    engine = ScriptedEngine()
    sessions = Sessions(settings, engine)
    yield create_app(settings, sessions, "secret")
    sessions.close()
    engine.close()


def test_it_starts_answers_and_stops(app: FastAPI) -> None:
    thread = ServerThread(app, "127.0.0.1", 0)
    assert not thread.running
    thread.start()
    assert thread.running
    assert thread.port > 0
    assert thread.url == f"http://127.0.0.1:{thread.port}"
    assert httpx.get(thread.url + "/healthz").status_code == 200
    thread.stop()
    assert not thread.running
    with pytest.raises(httpx.ConnectError):
        httpx.get(thread.url + "/healthz")
    thread.stop()


def test_stopping_before_the_start_does_nothing(app: FastAPI) -> None:
    ServerThread(app, "127.0.0.1", 0).stop()


def test_the_port_is_free_again_at_once(app: FastAPI, tmp_path: Path) -> None:
    first = ServerThread(app, "127.0.0.1", 0)
    first.start()
    httpx.get(first.url + "/healthz")
    first.stop()
    with scripted_server(tmp_path, port=first.port) as second:
        assert httpx.get(second.url + "/healthz").status_code == 200


def test_a_port_in_use(app: FastAPI) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        thread = ServerThread(app, "127.0.0.1", port)
        with pytest.raises(OpenmicError) as caught:
            thread.start()
    assert caught.value.code == "port_in_use"
    assert str(port) in caught.value.what
    thread.stop()


def test_an_address_of_another_machine(app: FastAPI) -> None:
    with pytest.raises(OpenmicError) as caught:
        ServerThread(app, "192.0.2.1", 0).start()
    assert caught.value.code == "address_unusable"


def test_a_server_that_dies_while_it_starts_says_so(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    thread = ServerThread(app, "127.0.0.1", 0)

    async def die(**_: object) -> None:
        raise SystemExit(3)

    monkeypatch.setattr(thread._server, "startup", die)
    with pytest.raises(OpenmicError) as caught:
        thread.start()
    assert caught.value.code == "server_not_started"
    assert "SystemExit" in caught.value.why


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("box", "http://box:80"),
    ],
)
def test_the_url_is_one_that_a_browser_here_can_open(app: FastAPI, host: str, url: str) -> None:
    assert ServerThread(app, host, 80).url == url


def test_it_leaves_no_thread_behind(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with scripted_server(tmp_path) as server:
        httpx.get(server.url + "/v1/sessions", headers=server.headers)
        session = server.sessions.create(AudioFormat(), SpeechOptions())
        assert {thread.name for thread in set(threading.enumerate()) - before} >= {
            "openmic-server",
            "openmic-keeper",
            f"openmic-decode-{session.id[:8]}",
        }
    deadline = time.monotonic() + 120
    while left := set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def test_no_token_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), scripted_server(tmp_path, token="s3cr3t-t0ken") as server:
        httpx.get(server.url + "/v1/sessions?token=s3cr3t-t0ken", headers=server.headers)
        httpx.get(server.url + "/v1/sessions", headers={"Authorization": "Bearer wr0ng-t0ken"})
    server_lines = [record.getMessage() for record in caplog.records if not record.name.startswith("http")]
    assert server_lines
    assert not any("t0ken" in line for line in server_lines)


NESTED = """
import asyncio, pathlib, sys, tempfile
import nest_asyncio
nest_asyncio.apply()
import httpx
from tests.support.scripted_engine import scripted_server
from websockets.asyncio.client import connect

async def stream(server):
    async with connect(server.stream_url, additional_headers=server.headers) as socket:
        await socket.send('{"type": "start", "encoding": "pcm_s16le", "sample_rate": 16000}')
        await socket.send(bytes([1, 2]) * 16000)
        await socket.send('{"type": "stop"}')
        return [message async for message in socket][-1]

async def cell():
    with tempfile.TemporaryDirectory() as folder, scripted_server(pathlib.Path(folder)) as server:
        assert httpx.get(server.url + "/healthz").status_code == 200
        return asyncio.run(stream(server))

print(asyncio.run(cell()))
"""


def test_nest_asyncio_applied_before_does_not_break_it() -> None:
    result = subprocess.run([sys.executable, "-c", NESTED], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert '"type":"done"' in result.stdout


def test_a_short_message_does_not_wait_for_the_one_before_it_to_be_acknowledged(tmp_path: Path) -> None:
    with scripted_server(tmp_path) as server, connect(server.stream_url, additional_headers=server.headers):
        (connection,) = server.thread._server.server_state.connections
        accepted = connection.transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1

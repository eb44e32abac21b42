"""Services that refuse, fall silent, or are none: the reference client says which, and waits for nothing for ever."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
import websockets
from anyio.from_thread import start_blocking_portal

from openmic.client import connect, iter_stream, stream_file, stream_file_async
from openmic.client.problems import Refused
from openmic.errors import OpenmicError
from tests.support.client_audio import PCM, SECOND
from tests.support.scripted_engine import ScriptedServer, scripted_server
from tests.support.waiting import wait_until

TOKEN = "a-token-for-tests"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path, token=TOKEN) as running:
        yield running


def test_a_wrong_token_is_told_and_not_shown(service: ScriptedServer, sample_audio: Path) -> None:
    with pytest.raises(OpenmicError) as caught:
        stream_file(service.url, sample_audio / "quickstart.wav", token="wrong-token", realtime=False)
    assert caught.value.code == "token_wrong"
    assert "wrong-token" not in str(caught.value)


def test_a_full_service_is_told(tmp_path: Path, sample_audio: Path) -> None:
    async def run(link: str) -> None:
        async with connect(link, **PCM):  # type: ignore[arg-type]
            await stream_file_async(link, sample_audio / "quickstart.wav", realtime=False)

    with scripted_server(tmp_path, token=TOKEN, max_sessions=1) as service, pytest.raises(OpenmicError) as caught:
        asyncio.run(run(service.link))
    assert caught.value.code == "server_full"
    assert isinstance(caught.value, Refused)
    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 0
    assert "It serves 1 of about 1 speakers at once" in str(caught.value)


@contextmanager
def answering(answer: bytes, seen: list[bytes] | None = None) -> Iterator[int]:
    """A port whose first caller gets ``answer``, whatever it says, which ``seen`` keeps."""

    def serve(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            request = client.recv(65_536)
            if seen is not None:
                seen.append(request)
            client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(120)


def test_nobody_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OpenmicError) as caught:
        stream_file(f"http://127.0.0.1:{port}/#token=x", __file__, realtime=False)
    assert caught.value.code == "unreachable"


@pytest.mark.parametrize(
    ("variable", "proxy"),
    [
        ("HTTPS_PROXY", "socks5://127.0.0.1:9"),
        ("https_proxy", "socks4://127.0.0.1:9"),
        ("SOCKS_PROXY", "socks5://127.0.0.1:9"),
        ("HTTPS_PROXY", "127.0.0.1:9"),
        ("HTTPS_PROXY", "ftp://127.0.0.1:9"),
        ("HTTPS_PROXY", "http://someone:secret@127.0.0.1:9"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named(variable: str, proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv(variable, proxy)
    with pytest.raises(OpenmicError) as caught:
        stream_file("https://mic.example/#token=x", __file__, realtime=False)
    assert caught.value.code == "proxy_unusable"
    assert variable in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("answer", [b"407 Proxy Authentication Required", b"403 Forbidden", b"502 Bad Gateway"])
def test_a_proxy_that_refuses_is_named(answer: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with answering(b"HTTP/1.1 " + answer + b"\r\nContent-Length: 0\r\n\r\n") as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        with pytest.raises(OpenmicError) as caught:
            stream_file("https://mic.example/#token=x", __file__, realtime=False)
    assert caught.value.code == "proxy_unusable"
    assert answer[:3].decode() in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "not_a_service"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "not_a_service"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", "bad_token"),
        (b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", "link_down"),
        (b"HTTP/1.1 404 Not Found\r\nngrok-error-code: ERR_NGROK_3200\r\nContent-Length: 0\r\n\r\n", "link_down"),
        (b"220 mail.example ESMTP\r\n", "not_a_service"),
        (b"", "unreachable"),
    ],
)
def test_other_servers_are_told_from_ours(answer: bytes, code: str) -> None:
    seen: list[bytes] = []
    with answering(answer, seen) as port, pytest.raises(OpenmicError) as caught:
        stream_file(f"http://127.0.0.1:{port}/#token=secret", __file__, realtime=False)
    assert caught.value.code == code
    assert b"ngrok-skip-browser-warning: 1" in seen[0]
    assert b"Authorization: Bearer secret" in seen[0]
    assert b"secret" not in seen[0].partition(b"\r\n")[0]


@contextmanager
def server_that(talk: Callable[[websockets.ServerConnection], Awaitable[None]]) -> Iterator[str]:
    """A WebSocket server with its own behaviour; gives its link."""

    @asynccontextmanager
    async def serving() -> AsyncIterator[str]:
        async with websockets.serve(talk, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/#token=x"

    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serving()) as link:
        yield link


READY = {"type": "ready", "session_id": "s", "resume_token": "r", "received_bytes": 0, "model": "m", "device": "d"}


@pytest.mark.parametrize(
    ("messages", "close", "waits", "code"),
    [
        ([], None, {"open_seconds": 0.3}, "no_ready"),
        (["not json"], None, {}, "not_understood"),
        (["[1]"], None, {}, "not_understood"),
        ([], (4401, ""), {}, "bad_token"),
        ([json.dumps(READY)], None, {"final_seconds": 0.3}, "no_final"),
        ([json.dumps(READY)], (4408, "idle"), {}, "ended_4408"),
        ([json.dumps(READY)], (4404, ""), {}, "session_lost"),
        ([json.dumps(READY), '{"type":"done","seq":1}'], None, {}, "no_final"),
        ([json.dumps({**READY, "received_bytes": 7})], None, {}, "session_lost"),
        ([json.dumps(READY)], None, {"keep_bytes": 10, "confirm_seconds": 0.3}, "not_acknowledged"),
    ],
)
def test_every_wait_has_an_end(
    messages: list[str], close: tuple[int, str] | None, waits: dict[str, float], code: str, tmp_path: Path
) -> None:
    async def talk(connection: websockets.ServerConnection) -> None:
        await connection.recv()
        for message in messages:
            await connection.send(message)
        if close is not None:
            await connection.close(*close)
        with contextlib.suppress(websockets.ConnectionClosed):
            async for _ in connection:
                pass

    path = tmp_path / "bytes"
    path.write_bytes(SECOND)
    with server_that(talk) as link, pytest.raises(OpenmicError) as caught:
        stream_file(link, path, realtime=False, **waits)  # type: ignore[arg-type]
    assert caught.value.code == code


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts, though a suite that a shell began with & ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_it_waits_closes_the_connection_in_order(tmp_path: Path) -> None:
    closes: list[int | None] = []

    async def talk(connection: websockets.ServerConnection) -> None:
        await connection.recv()
        await connection.send(json.dumps(READY))
        with contextlib.suppress(websockets.ConnectionClosed):
            async for _ in connection:
                pass
        closes.append(connection.close_code)

    path = tmp_path / "bytes"
    path.write_bytes(SECOND)
    with server_that(talk) as link:
        messages = iter_stream(link, path, realtime=False)
        assert next(messages)["type"] == "ready"
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        with pytest.raises(KeyboardInterrupt):
            next(messages)  # nothing else comes
        assert not [thread.name for thread in threading.enumerate() if thread.name == "openmic-client"]
        wait_until(lambda: closes)
    assert closes == [1000]

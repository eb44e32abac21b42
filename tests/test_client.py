"""The reference client against the real server over a scripted engine, also through a connection that is cut."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import socket
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest
import websockets
from scripted_engine import ScriptedEngine

from openmic.audio.types import Samples
from openmic.client import StreamFailed, connect, iter_stream, parse_link, readable_json, stream_file, stream_file_async
from openmic.client.caption import Caption
from openmic.client.files import audio_seconds, file_pieces
from openmic.client.inbox import Inbox
from openmic.client.loop import LoopThread
from openmic.client.microphone import microphone_pieces
from openmic.client.outbox import Outbox
from openmic.client.problems import PROBLEMS, from_wire
from openmic.errors import OpenmicError
from openmic.server.app import create_app
from openmic.server.thread import ServerThread
from openmic.sessions.recording import DiskRecording
from openmic.sessions.registry import Sessions
from openmic.settings import Settings

TOKEN = "a-token-for-tests"
PCM = {"encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1}
SECOND = bytes(range(1, 251)) * 128  # 32,000 bytes: one second of 16 kHz s16le that is not silence


class Service:
    """The real app over a scripted engine, on a real port."""

    def __init__(self, folder: Path, **settings: object) -> None:
        self.engine = ScriptedEngine()
        chosen = Settings(data_dir=folder, stop_seconds=5, **settings)  # type: ignore[arg-type]
        self.sessions = Sessions(chosen, self.engine)
        self.server = ServerThread(create_app(chosen, self.sessions, TOKEN), "127.0.0.1", 0)
        self.server.start()

    @property
    def link(self) -> str:
        return f"{self.server.url}/#token={TOKEN}"

    def close(self) -> None:
        self.engine.may_finish.set()
        self.server.stop()
        self.sessions.close()
        self.engine.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path / "recordings")
    yield service
    service.close()


class CuttingProxy:
    """Forwards TCP to a port, and cuts connections: after a number of bytes upward, or when told."""

    def __init__(self, port: int, cut_after: list[int]) -> None:
        self.connections = 0
        self.refuse = False
        self._target = port
        self._cut_after = cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse:
                client.close()
                continue
            limit = self._cut_after[self.connections] if self.connections < len(self._cut_after) else None
            self.connections += 1
            server = socket.create_connection(("127.0.0.1", self._target))
            self._open += [client, server]
            threading.Thread(target=self._pump, args=(client, server, limit), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, None), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        seen = 0
        with contextlib.suppress(OSError):
            while data := source.recv(4096):
                seen += len(data)
                if limit is not None and seen > limit:
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        for end in self._open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._thread.join(5)
        for end in self._open:
            end.close()


@pytest.fixture
def proxy_to(service: Service) -> Iterator[object]:
    made: list[CuttingProxy] = []

    def make(*cut_after: int) -> CuttingProxy:
        made.append(CuttingProxy(service.server.port, list(cut_after)))
        return made[-1]

    yield make
    for proxy in made:
        proxy.close()


# --- links


@pytest.mark.parametrize(
    ("link", "url"),
    [
        ("https://name.ngrok-free.app/#token=abc", "wss://name.ngrok-free.app/v1/stream"),
        ("http://127.0.0.1:8000#token=abc", "ws://127.0.0.1:8000/v1/stream"),
        ("127.0.0.1:8000/#token=abc", "ws://127.0.0.1:8000/v1/stream"),
        ("name.example/#token=abc", "wss://name.example/v1/stream"),
        ("wss://name.example/v1/stream#token=abc", "wss://name.example/v1/stream"),
        ("https://name.example/below/?x=1#lang=tr&token=abc", "wss://name.example/below/v1/stream"),
        (" http://[::1]:9/#token=abc ", "ws://[::1]:9/v1/stream"),
    ],
)
def test_links_become_addresses(link: str, url: str) -> None:
    address = parse_link(link)
    assert (address.url, address.token) == (url, "abc")
    assert "abc" not in repr(address)


@pytest.mark.parametrize("link", ["ftp://host/#token=a", "https:///#token=a", "", "http://host:x/#token=a"])
def test_bad_links_are_refused_without_showing_the_token(link: str) -> None:
    with pytest.raises(OpenmicError) as caught:
        parse_link(link)
    assert caught.value.code == "bad_url"
    assert "token=" not in str(caught.value)


def test_a_token_must_be_there_and_a_given_one_wins() -> None:
    with pytest.raises(OpenmicError, match="No token") as caught:
        parse_link("https://host/")
    assert caught.value.code == "no_token"
    assert parse_link("https://host/#token=old", "new").token == "new"


# --- bytes


def test_the_outbox_keeps_what_is_not_confirmed_and_goes_back() -> None:
    outbox = Outbox()
    outbox.put(b"abcdef")
    outbox.put_flush()
    outbox.put(b"ghi")
    assert [outbox.take(4), outbox.take(4), outbox.take(4), outbox.take(4), outbox.take(4)] == [
        b"abcd",
        b"ef",
        b"",
        b"ghi",
        None,
    ]
    outbox.confirm(5)
    assert (len(outbox), outbox.confirmed, outbox.end) == (4, 5, 9)
    assert not outbox.rewind(4)
    assert not outbox.rewind(10)
    assert outbox.rewind(6)
    assert [outbox.take(9), outbox.take(9), outbox.take(9)] == [b"", b"ghi", None]
    outbox.confirm(9)
    assert outbox.rewind(9)
    assert outbox.take(9) is None


def test_an_unread_live_text_is_replaced_and_nothing_else() -> None:
    async def run() -> list[str]:
        inbox = Inbox()
        for kind, text in (("live", "a"), ("live", "b"), ("commit", "c"), ("commit", "d"), ("live", "e")):
            await inbox.put({"type": kind, "text": text})
        inbox.close()
        return [message["text"] for message in [await inbox.get() for _ in range(4)] if message]

    assert asyncio.run(run()) == ["b", "c", "d", "e"]


def test_a_caption_follows_the_messages() -> None:
    caption = Caption()
    assert caption.update({"type": "live", "text": " hello wor"})
    assert caption.update({"type": "commit", "text": " hello"})
    assert caption.update({"type": "live", "text": " world"})
    assert not caption.update({"type": "live", "text": " world"})
    assert not caption.update({"type": "speech", "state": "ended", "at": 1.0})
    assert (caption.committed, caption.live, caption.text) == (" hello", " world", "hello world")
    assert caption.update({"type": "final", "text": "Hello, world."})
    assert (caption.text, caption.live) == ("Hello, world.", "")


# --- recordings


def test_durations_of_containers_and_raw_pcm(sample_audio: Path, tmp_path: Path) -> None:
    assert 10 < audio_seconds(sample_audio / "quickstart.wav") < 20
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND * 3)
    assert audio_seconds(raw, PCM) == 3.0  # type: ignore[arg-type]
    with pytest.raises(OpenmicError) as caught:
        audio_seconds(raw, {"encoding": "pcm_f32le"})
    assert caught.value.code == "no_duration"


@pytest.mark.parametrize(
    ("content", "code"), [(None, "no_file"), (b"", "no_duration"), (b"this is not audio " * 100, "no_duration")]
)
def test_what_has_no_duration_says_so(tmp_path: Path, content: bytes | None, code: str) -> None:
    path = tmp_path / "x.wav"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(OpenmicError) as caught:
        audio_seconds(path)
    assert caught.value.code == code


def test_pieces_are_the_file_in_tenths_of_a_second(tmp_path: Path) -> None:
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND)

    async def run() -> tuple[list[bytes], float]:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        pieces = [piece async for piece in file_pieces(raw, PCM)]  # type: ignore[arg-type]
        return pieces, loop.time() - begin

    pieces, seconds = asyncio.run(run())
    assert b"".join(pieces) == SECOND
    assert len(pieces) == 10
    assert seconds >= 0.99  # not faster than it is spoken


# --- streams


def test_a_file_gives_live_text_commits_and_the_final(service: Service, sample_audio: Path) -> None:
    seen: list[str] = []
    threads: set[str] = set()

    def on_message(message: dict[str, object]) -> None:
        seen.append(str(message["type"]))
        threads.add(threading.current_thread().name)

    path = sample_audio / "quickstart.wav"
    result = stream_file(service.link, path, realtime=False, on_message=on_message, words=True, language="tr")
    assert result.duration == pytest.approx(audio_seconds(path), abs=0.1)
    assert result.text.startswith(" heard")
    assert (result.language, result.model) == ("tr", "scripted")
    assert result.live_text.startswith("one two three")
    assert len(result.segments[0]["words"]) == 1
    assert json.loads(result.json()) == result.message
    assert service.sessions.get(result.session_id).id == result.session_id
    assert {"ready", "commit", "final", "done"} <= set(seen)
    assert "ack" not in seen
    assert threads == {threading.main_thread().name}


def test_the_plain_form_works_where_a_loop_runs_already(service: Service, tmp_path: Path) -> None:
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND * 2)

    async def cell() -> str:
        return stream_file(service.link, raw, realtime=False, **PCM).text  # type: ignore[arg-type]

    assert asyncio.run(cell()) == " heard 2.0 seconds"


def test_the_async_form(service: Service, tmp_path: Path) -> None:
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND * 2)
    result = asyncio.run(stream_file_async(service.link, raw, realtime=True, **PCM))  # type: ignore[arg-type]
    assert result.live_text == "one two"


def test_send_flush_ping_and_stop(service: Service) -> None:
    async def run() -> list[dict[str, object]]:
        async with connect(service.link, **PCM) as stream:  # type: ignore[arg-type]
            assert stream.session_id
            await stream.send(SECOND)
            await stream.send(bytearray(SECOND[:16_000]))
            await stream.flush()
            await stream.ping()
            messages = []
            async for message in stream:
                messages.append(message)
                if message["type"] == "commit" and message["end"] == 1.5:
                    await stream.stop()
                    await stream.stop()
                    with pytest.raises(OpenmicError, match="takes no more audio"):
                        await stream.send(SECOND)
            assert stream.result is not None
            assert stream.confirmed_bytes == 48_000
            return messages

    kinds = [message["type"] for message in asyncio.run(run())]
    assert kinds[0] == "ready"
    assert kinds[-2:] == ["final", "done"]
    assert "error" not in kinds


def test_large_pieces_are_cut_to_what_the_service_takes(tmp_path: Path) -> None:
    service = Service(tmp_path / "recordings", max_message_bytes=2048)
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(SECOND * 2)
    try:
        result = stream_file(service.link, raw, realtime=False, **PCM)  # type: ignore[arg-type]
    finally:
        service.close()
    assert result.duration == 2.0


def test_finish_ends_the_audio_early(service: Service, sample_audio: Path) -> None:
    finish = threading.Event()
    final: dict[str, object] = {}
    for message in iter_stream(service.link, sample_audio / "quickstart.wav", finish=finish):
        if message["type"] == "live":
            finish.set()
        if message["type"] == "final":
            final = message
    assert 0 < final["duration"] < 5  # type: ignore[operator]


def test_breaking_out_of_the_messages_ends_everything(service: Service, sample_audio: Path) -> None:
    for message in iter_stream(service.link, sample_audio / "quickstart.wav"):
        if message["type"] == "live":
            break
    del message
    deadline = threading.Event()
    while any(thread.name == "openmic-client" for thread in threading.enumerate()):
        assert not deadline.wait(0.05)


# --- connections that break


@pytest.mark.parametrize("cuts", [(40_000,), (40_000, 60_000, 30_000)])
def test_a_cut_connection_is_resumed_and_nothing_is_lost(
    service: Service, proxy_to: object, tmp_path: Path, cuts: tuple[int, ...]
) -> None:
    proxy = proxy_to(*cuts)  # type: ignore[operator]
    raw = tmp_path / "raw.pcm"
    raw.write_bytes(b"".join(bytes([n + 1, n + 1]) * 16_000 for n in range(10)))
    seen: list[dict[str, object]] = []
    link = f"http://127.0.0.1:{proxy.port}/#token={TOKEN}"
    result = stream_file(link, raw, realtime=False, on_message=seen.append, **PCM)  # type: ignore[arg-type]
    assert result.duration == 10.0
    assert proxy.connections == len(cuts) + 1
    states = [message["state"] for message in seen if message["type"] == "connection"]
    assert states == ["lost", "resumed"] * len(cuts)
    commits = [message["seq"] for message in seen if message["type"] == "commit"]
    assert commits == sorted(set(commits))
    journal = next((tmp_path / "recordings").glob("*/audio.wav"))
    assert journal.read_bytes()[-320_000:] == raw.read_bytes()


def test_a_connection_cut_after_the_stop_still_brings_the_final(service: Service, proxy_to: object) -> None:
    proxy = proxy_to()  # type: ignore[operator]
    service.engine.may_finish.clear()

    async def run() -> list[str]:
        async with connect(f"http://127.0.0.1:{proxy.port}", TOKEN, **PCM) as stream:  # type: ignore[arg-type]
            await stream.send(SECOND)
            await stream.stop()
            kinds = []
            async for message in stream:
                kinds.append(message["type"])
                if message["type"] == "commit":
                    proxy.cut()
                if message.get("state") == "resumed":
                    service.engine.may_finish.set()
            return kinds

    kinds = asyncio.run(run())
    assert kinds.count("commit") == 1
    assert kinds[-2:] == ["final", "done"]
    assert "error" not in kinds


def test_a_connection_that_stays_away_is_given_up(service: Service, proxy_to: object) -> None:
    proxy = proxy_to()  # type: ignore[operator]

    async def run() -> None:
        waits = {"reconnect_seconds": 1.0}
        async with connect(f"http://127.0.0.1:{proxy.port}", TOKEN, **waits, **PCM) as stream:  # type: ignore[arg-type]
            await stream.send(SECOND)
            proxy.refuse = True
            proxy.cut()
            async for _ in stream:
                pass

    with pytest.raises(OpenmicError) as caught:
        asyncio.run(run())
    assert caught.value.code == "connection_lost"


def test_a_session_that_is_gone_cannot_be_resumed(tmp_path: Path, proxy_to: object, service: Service) -> None:
    proxy = proxy_to()  # type: ignore[operator]

    async def run() -> None:
        async with connect(f"http://127.0.0.1:{proxy.port}", TOKEN, **PCM) as stream:  # type: ignore[arg-type]
            await stream.send(SECOND)
            stream.ready["resume_token"] = "another"
            proxy.cut()
            async for _ in stream:
                pass

    with pytest.raises(OpenmicError) as caught:
        asyncio.run(run())
    assert caught.value.code == "unknown_session"


# --- services that refuse


def test_a_wrong_token_is_told_and_not_shown(service: Service, sample_audio: Path) -> None:
    with pytest.raises(OpenmicError) as caught:
        stream_file(service.server.url, sample_audio / "quickstart.wav", token="wrong-token", realtime=False)
    assert caught.value.code == "token_wrong"
    assert "wrong-token" not in str(caught.value)


def test_a_full_service_is_told(tmp_path: Path, sample_audio: Path) -> None:
    service = Service(tmp_path / "recordings", max_sessions=1)

    async def run() -> None:
        async with connect(service.link, **PCM):  # type: ignore[arg-type]
            await stream_file_async(service.link, sample_audio / "quickstart.wav", realtime=False)

    try:
        with pytest.raises(OpenmicError) as caught:
            asyncio.run(run())
    finally:
        service.close()
    assert caught.value.code == "server_full"


def test_an_unknown_language_is_told(service: Service, sample_audio: Path) -> None:
    with pytest.raises(OpenmicError) as caught:
        stream_file(service.link, sample_audio / "quickstart.wav", realtime=False, language="xx")
    assert caught.value.code == "unknown_language"


def test_a_file_that_is_not_audio_is_told_by_the_service_when_sent_unpaced(service: Service, tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("Dear microphone, " * 500)
    with pytest.raises(OpenmicError) as caught:
        stream_file(service.link, path, realtime=False)
    assert caught.value.code == "audio_not_decodable"
    assert isinstance(caught.value, StreamFailed)
    assert caught.value.result is None


def test_an_error_after_the_final_carries_it(
    service: Service, sample_audio: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = DiskRecording.append

    def refuse_after_three_seconds(recording: DiskRecording, samples: Samples) -> None:
        if recording.seconds > 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        append(recording, samples)

    monkeypatch.setattr(DiskRecording, "append", refuse_after_three_seconds)
    with pytest.raises(StreamFailed) as caught:
        stream_file(service.link, sample_audio / "quickstart.wav", realtime=False)
    failed = caught.value
    assert (failed.code, failed.what) == ("disk_full", "The server could not write this session to its disk.")
    assert failed.result is not None
    assert 3 < failed.result.duration < 15
    assert failed.result.text.startswith(" heard")
    assert failed.live_text.startswith("one two three")
    assert failed.session_id == failed.result.session_id


def test_a_missing_file_is_told_before_anything_is_sent(service: Service, tmp_path: Path) -> None:
    with pytest.raises(OpenmicError) as caught:
        stream_file(service.link, tmp_path / "none.wav")
    assert caught.value.code == "no_file"
    assert service.sessions.opened_total == 0


def test_nobody_there_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OpenmicError) as caught:
        stream_file(f"http://127.0.0.1:{port}/#token=x", __file__, realtime=False)
    assert caught.value.code == "unreachable"


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

    def serve(listener: socket.socket) -> None:
        client, _ = listener.accept()
        with client:
            seen.append(client.recv(65_536))
            client.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        with pytest.raises(OpenmicError) as caught:
            stream_file(f"http://127.0.0.1:{listener.getsockname()[1]}/#token=secret", __file__, realtime=False)
        thread.join(10)
    assert caught.value.code == code
    assert b"ngrok-skip-browser-warning: 1" in seen[0]
    assert b"Authorization: Bearer secret" in seen[0]
    assert b"secret" not in seen[0].partition(b"\r\n")[0]


def server_that(talk: object) -> tuple[str, LoopThread, object]:
    """A WebSocket server with its own behaviour; gives its link, its loop and the server."""
    loop = LoopThread()
    loop.__enter__()

    async def start() -> object:
        return await websockets.serve(talk, "127.0.0.1", 0)  # type: ignore[arg-type]

    server = loop.run(start())
    port = server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    return f"http://127.0.0.1:{port}/#token=x", loop, server


def end(loop: LoopThread, server: object) -> None:
    async def stop() -> None:
        server.close()  # type: ignore[attr-defined]
        await server.wait_closed()  # type: ignore[attr-defined]

    loop.run(stop())
    loop.__exit__(None, None, None)


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
    link, loop, server = server_that(talk)
    try:
        with pytest.raises(OpenmicError) as caught:
            stream_file(link, path, realtime=False, **waits)  # type: ignore[arg-type]
    finally:
        end(loop, server)
    assert caught.value.code == code


def test_a_services_error_keeps_its_three_parts() -> None:
    told = PROBLEMS.error("bad_token", host="h")
    error = from_wire({"type": "error", "code": told.code, "message": told.message, "hint": told.hint, "fatal": True})
    assert (error.code, error.what, error.why, error.hint) == (told.code, told.what, told.why, told.hint)
    assert from_wire({"type": "error"}).what == "The service reported an error."


# --- the microphone


class StandInStream:
    """Stands for sounddevice's stream: this machine has no microphone."""

    def __init__(self, **options: object) -> None:
        self._callback = options["callback"]
        assert options["samplerate"] == 16_000
        self._end = threading.Event()

    def __enter__(self) -> StandInStream:
        self._thread = threading.Thread(target=self._speak, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(5)

    def _speak(self) -> None:
        while not self._end.wait(0.01):
            self._callback(SECOND[:3200], 1600, None, None)  # type: ignore[operator]


def stand_in_sounddevice(stream: type) -> types.ModuleType:
    module = types.ModuleType("sounddevice")
    module.RawInputStream = stream  # type: ignore[attr-defined]
    module.PortAudioError = type("PortAudioError", (Exception,), {})  # type: ignore[attr-defined]
    return module


def test_the_microphone_streams_until_told_to_finish(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", stand_in_sounddevice(StandInStream))
    finish = threading.Event()
    kinds = []
    for message in iter_stream(service.link, "mic", finish=finish):
        kinds.append(message["type"])
        if message["type"] == "commit":
            finish.set()
    assert kinds[-2:] == ["final", "done"]


def test_no_library_and_no_microphone_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def first() -> bytes:
        return await anext(aiter(microphone_pieces(threading.Event())))

    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(OpenmicError) as caught:
        asyncio.run(first())
    assert caught.value.code == "no_microphone_library"

    module = stand_in_sounddevice(StandInStream)

    def refuse(**_: object) -> object:
        raise module.PortAudioError("Error querying device -1")

    module.RawInputStream = refuse  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sounddevice", module)
    with pytest.raises(OpenmicError) as caught:
        asyncio.run(first())
    assert caught.value.code == "no_microphone"


def test_readable_json_is_json() -> None:
    value = {"segments": [{"tokens": list(range(200)), "text": "ığ", "words": [{"word": "x" * 60}] * 3}], "empty": []}
    text = readable_json(value)
    assert json.loads(text) == value
    assert "ığ" in text
    assert len(text.splitlines()) < 20

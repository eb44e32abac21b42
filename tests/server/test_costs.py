"""What one tester can cost: places, starts, downloads, uploads; and what a revoked one still can."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

import openmic.server.dialects.request_body
import openmic.server.uvicorn_protocols.http
import openmic.sessions.keeper
from openmic.settings import Settings
from tests.support.scripted_engine import ScriptedServer, scripted_server
from tests.support.waiting import wait_until

PCM = {"type": "start", "encoding": "pcm_s16le", "sample_rate": 16_000}
SECOND = bytes(range(1, 251)) * 128
WAIT = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("costs"), max_sessions=20) as running:
        yield running


@contextmanager
def opened(server: ScriptedServer, token: str, first: dict[str, Any]) -> Iterator[ClientConnection]:
    with connect(server.stream_url, additional_headers={"Authorization": f"Bearer {token}"}, max_size=None) as one:
        one.send(json.dumps(first))
        yield one


def hear(one: ClientConnection, kind: str) -> dict[str, Any]:
    while (message := json.loads(one.recv(WAIT)))["type"] != kind:
        pass
    return dict(message)


def spoken(server: ScriptedServer, token: str, seconds: int = 1) -> dict[str, Any]:
    with opened(server, token, PCM) as one:
        ready = hear(one, "ready")
        for _ in range(seconds):
            one.send(SECOND)
        one.send('{"type": "stop"}')
        hear(one, "done")
    return ready


def _is_gone(folder: Path) -> bool:
    return not folder.exists()


def read(server: ScriptedServer, path: str, token: str, method: str = "GET") -> httpx.Response:
    return httpx.request(method, server.url + path, headers={"Authorization": f"Bearer {token}"}, timeout=WAIT)


# --- revoked


def test_what_a_revoked_token_began_opens_with_no_resume_token_any_more(server: ScriptedServer) -> None:
    key, tester = server.keys.make("tester")
    ready = spoken(server, tester)
    path = f"/v1/sessions/{ready['session_id']}"
    assert read(server, path, ready["resume_token"]).status_code == 200
    server.keys.revoke(key.id)
    for ending in ("", ".json", ".txt", ".wav"):
        refused = read(server, path + ending, ready["resume_token"])
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "token_revoked")
    assert read(server, path, ready["resume_token"], "DELETE").status_code == 401
    assert read(server, path, server.token).status_code == 200
    resume = {"type": "resume", **{name: ready[name] for name in ("session_id", "resume_token")}}
    with opened(server, server.keys.make("tester")[1], resume) as one:
        assert hear(one, "error")["code"] == "token_revoked"


def test_an_upload_ends_when_its_token_is_revoked(server: ScriptedServer, sample_audio: Path) -> None:
    key, tester = server.keys.make("tester")
    server.engine.may_finish.clear()
    answers: list[httpx.Response] = []

    def post() -> None:
        files = {"file": ("a.wav", (sample_audio / "quickstart.wav").read_bytes())}
        headers = {"Authorization": f"Bearer {tester}"}
        answers.append(httpx.post(server.url + "/v1/audio/transcriptions", headers=headers, files=files, timeout=WAIT))

    thread = threading.Thread(target=post)
    thread.start()
    try:
        wait_until(
            lambda: any(one.token_id == key.id and one.snapshot().attached for one in server.sessions.known.all())
        )
        server.keys.revoke(key.id)
        thread.join(WAIT)
        assert (answers[0].status_code, answers[0].json()["error"]["code"]) == (401, "token_revoked")
    finally:
        server.engine.may_finish.set()
    (session,) = [one for one in server.sessions.known.all() if one.token_id == key.id]
    assert session.ended.wait(WAIT)  # it stays with the owner
    assert session.snapshot().final is not None


# --- deleted by who spoke


def test_a_speaker_deletes_what_was_said(server: ScriptedServer) -> None:
    mine, other = (spoken(server, server.token) for _ in range(2))
    path = f"/v1/sessions/{mine['session_id']}"
    assert read(server, path, other["resume_token"], "DELETE").status_code == 401
    assert read(server, path, mine["resume_token"], "DELETE").status_code == 204
    gone = read(server, path, mine["resume_token"])
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "session_deleted")
    assert not (server.sessions.settings.data_dir / mine["session_id"]).exists()
    with opened(server, server.token, PCM) as one:
        ready = hear(one, "ready")
        early = read(server, f"/v1/sessions/{ready['session_id']}", ready["resume_token"], "DELETE")
        assert (early.status_code, early.json()["error"]["code"]) == (400, "session_not_over")


def test_a_failed_resume_token_is_no_guess_at_the_server_s(server: ScriptedServer) -> None:
    before = server.thread._app.state.entry.wrong_tokens.total
    assert read(server, f"/v1/sessions/{'0' * 32}.txt", "of-an-old-page").status_code == 401
    assert server.thread._app.state.entry.wrong_tokens.total == before


# --- places


@pytest.mark.slow
def test_pings_hold_no_place(tmp_path: Path) -> None:
    with scripted_server(tmp_path, max_sessions=1, idle_seconds=1.0) as server:
        with opened(server, server.token, {"type": "start"}) as one:
            hear(one, "ready")

            def ping() -> None:
                for _ in range(1000):
                    one.send('{"type": "ping"}')
                    time.sleep(0.1)

            with pytest.raises(ConnectionClosed) as closed:
                ping()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4408
        spoken(server, server.token)


@pytest.mark.slow
def test_sound_keeps_a_place_until_the_clock_says_it_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmic.sessions.keeper, "OPEN_FACTOR", 0.2)
    with (
        scripted_server(tmp_path, idle_seconds=2.0, max_seconds=10.0) as server,
        opened(server, server.token, PCM) as one,
    ):
        hear(one, "ready")
        began, told = time.monotonic(), None
        while told is None:
            one.send(SECOND[: 16_000 * 2 // 5])
            time.sleep(0.1)
            while told is None:
                try:
                    message = json.loads(one.recv(0))
                except TimeoutError:
                    break
                told = message if message["type"] == "warning" else None
        assert told["code"] == "open_too_long"
        assert time.monotonic() - began >= 4.0
        assert hear(one, "done")["reason"] == "timeout"


def test_a_tester_s_starts_are_counted_and_the_owner_s_are_not(tmp_path: Path) -> None:
    with scripted_server(tmp_path, max_starts_per_minute=3, max_sessions=20) as server:
        _, tester = server.keys.make("tester")
        for _ in range(3):
            spoken(server, tester)
        with opened(server, tester, PCM) as one:
            error = hear(one, "error")
        assert error["code"] == "too_many_starts"
        assert error["retry_after"] > 0
        posted = httpx.post(
            server.url + "/v1/audio/transcriptions",
            headers={"Authorization": f"Bearer {tester}"},
            files={"file": ("a.wav", b"RIFF")},
        )
        assert posted.status_code == 429
        assert int(posted.headers["retry-after"]) > 0
        for _ in range(4):
            spoken(server, server.token)


@pytest.mark.slow
def test_a_file_that_drips_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmic.server.dialects.request_body, "LEAST_UPLOAD_RATE", 10_000)
    head = (
        "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n"
        "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n--b\r\n"
    )
    with (
        scripted_server(tmp_path, idle_seconds=1.0) as server,
        socket.create_connection(("127.0.0.1", server.thread.port)) as raw,
    ):
        raw.sendall(head.encode())
        raw.settimeout(0.2)
        answer, began = b"", time.monotonic()
        while not answer:
            assert time.monotonic() - began < WAIT
            raw.sendall(b"a")
            try:
                answer = raw.recv(4096)
            except TimeoutError:
                continue
        raw.settimeout(WAIT)
        while b"upload_too_slow" not in answer:
            answer += raw.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408")


# --- the disk


def test_nothing_begins_where_little_of_the_disk_is_left_and_who_speaks_is_finished(tmp_path: Path) -> None:
    with scripted_server(tmp_path) as server:
        with opened(server, server.token, PCM) as one:
            ready = hear(one, "ready")
            one.send(SECOND)
            hear(one, "ack")
            wait_until(lambda: server.sessions.get(ready["session_id"]).recording.seconds > 0)
            server.sessions.space._min_free_bytes = 2**60
            error = hear(one, "error")
        assert error["code"] == "disk_full"
        assert server.sessions.get(ready["session_id"]).snapshot().final is not None
        with opened(server, server.token, PCM) as one:
            assert hear(one, "error")["code"] == "disk_full"
        posted = httpx.post(server.url + "/v1/audio/transcriptions", headers=server.headers, files={"file": b"RIFF"})
        assert (posted.status_code, posted.json()["error"]["code"]) == (507, "disk_full")


def test_recordings_take_no_more_than_they_may(tmp_path: Path) -> None:
    folder = tmp_path / "recordings"
    with scripted_server(tmp_path, max_data_bytes=1_000_000) as server:
        ready = spoken(server, server.token)
        (folder / ready["session_id"] / "more").write_bytes(bytes(1_000_000))
        server.sessions.space.measure()
        with opened(server, server.token, PCM) as one:
            assert hear(one, "error")["code"] == "disk_full"
        assert read(server, f"/v1/sessions/{ready['session_id']}", ready["resume_token"], "DELETE").status_code == 204
        server.sessions.space.measure()
        spoken(server, server.token)


def test_of_what_is_no_sound_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmic.sessions.keeper, "NOTHING_KEPT_SECONDS", 0.0)
    header = bytes.fromhex(
        "1a45dfa39f4286810142f7810142f2810442f381084282847765626d42878104428581021853806701ffffffffffffff"
    )
    void = b"\xec\x01" + (6_000_000).to_bytes(7, "big")
    with scripted_server(tmp_path) as server:
        with opened(server, server.token, {"type": "start"}) as one:
            ready = hear(one, "ready")
            one.send(header + void)
            for _ in range(10):
                one.send(b"\xa7" * 100_000)
            one.send('{"type": "stop"}')
            assert hear(one, "error")["code"] == "audio_not_decodable"
        with opened(server, server.token, {"type": "start"}) as one:
            nothing = hear(one, "ready")
            one.send('{"type": "stop"}')
            hear(one, "done")
        for session_id in (ready["session_id"], nothing["session_id"]):
            folder = tmp_path / "recordings" / session_id
            wait_until(partial(_is_gone, folder))
        assert server.sessions.list() == []


# --- downloads


@pytest.mark.slow
def test_downloads_that_nobody_reads_are_few_and_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openmic.server.uvicorn_protocols.http, "UNREAD_SECONDS", 2.0)
    with scripted_server(tmp_path, max_message_bytes=8_000_000) as server:
        with opened(server, server.token, PCM) as one:
            ready = hear(one, "ready")
            one.send(SECOND * 200)
            one.send('{"type": "stop"}')
            hear(one, "done")
        path = f"/v1/sessions/{ready['session_id']}.wav"
        held = []
        for _ in range(4):
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.connect(("127.0.0.1", server.thread.port))
            raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n\r\n".encode())
            held.append(raw)
        running = server.thread._app.state.downloads._running
        wait_until(lambda: running[ready["session_id"]] == 4)
        fifth = read(server, path, server.token)
        assert (fifth.status_code, fifth.json()["error"]["code"]) == (503, "too_many_downloads")
        wait_until(lambda: not running)
        assert len(read(server, path, server.token).content) == 200 * 32_000 + 44
        for raw in held:
            raw.close()


def test_limits_of_the_settings() -> None:
    assert Settings().max_starts_per_minute == 60
    assert Settings().max_data_bytes == 20_000_000_000
    assert Settings().min_free_disk_bytes == 1_000_000_000
    for bad in ({"max_starts_per_minute": 0}, {"max_data_bytes": 999_999}, {"min_free_disk_bytes": -1}):
        with pytest.raises(ValueError, match="greater than or equal"):
            Settings(**bad)  # type: ignore[arg-type]

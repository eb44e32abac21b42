"""Files that come slowly, and many at once."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import httpx
import pytest

from tests.support.scripted_engine import ScriptedServer, scripted_server

HEAD = (
    "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\n"
    "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n--b\r\n"
)


def stalled(server: ScriptedServer) -> socket.socket:
    """An upload that was begun and goes no further."""
    raw = socket.create_connection(("127.0.0.1", server.thread.port))
    raw.settimeout(120)
    raw.sendall(HEAD.encode())
    return raw


@pytest.mark.slow
def test_a_file_that_stalls_is_given_up_and_its_place_is_free(tmp_path: Path, sample_audio: Path) -> None:
    sound = (sample_audio / "quickstart.wav").read_bytes()

    def post() -> httpx.Response:
        url = server.url + "/v1/audio/transcriptions"
        return httpx.post(url, headers=server.headers, files={"file": ("a.wav", sound)}, timeout=120)

    with scripted_server(tmp_path, max_sessions=1, idle_seconds=3.0) as server, stalled(server) as raw:
        deadline = time.monotonic() + 120
        while not server.thread._app.state.receiving_uploads:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        full = post()
        assert (full.status_code, full.json()["error"]["code"]) == (503, "server_full")
        assert int(full.headers["retry-after"]) > 0
        answer = raw.recv(4096)
        assert answer.startswith(b"HTTP/1.1 408")
        assert post().json()["text"] == "heard 15.2 seconds"

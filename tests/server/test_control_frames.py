"""What is no message: pings, pongs and fragments by the thousand, and text that is none; the loop goes on."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from openmic.server.uvicorn_protocols.websocket import CONTROL_BURST
from tests.support.raw_socket import shake_hands
from tests.support.scripted_engine import ScriptedServer, scripted_server

START = {"type": "start", "encoding": "pcm_s16le", "sample_rate": 16_000}
PING, PONG, TEXT, FRAGMENT = 0x89, 0x8A, 0x81, 0x00


def bare(first_byte: int, payload: bytes = b"") -> bytes:
    """A masked frame with a mask of zeros, FIN and opcode as given."""
    return bytes([first_byte, 0x80 | len(payload)]) + bytes(4) + payload


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("frames"), max_sessions=20) as running:
        yield running


def read_to_its_end(raw: socket.socket) -> bytes:
    raw.settimeout(60)
    read = b""
    try:
        while chunk := raw.recv(65_536):
            read += chunk
    except ConnectionResetError:
        pass
    return read


@pytest.mark.parametrize(
    "flood",
    [bare(PING) * 20_000, bare(PONG) * 20_000, bare(0x02, b"") + bare(FRAGMENT) * 20_000],
    ids=["pings", "pongs", "fragments"],
)
def test_a_flood_of_control_frames_is_refused_after_a_few_hundred(server: ScriptedServer, flood: bytes) -> None:
    with shake_hands(server, START, receive_buffer=1 << 20) as raw:
        raw.sendall(flood)
        raw.shutdown(socket.SHUT_WR)
        answer = read_to_its_end(raw)
    at = answer.index(b"\x03\xf0too many control frames")  # 1008
    assert answer.count(b"\x8a\x00") <= CONTROL_BURST + 4096 // 6  # of pongs, each costs the loop some microseconds
    assert at > 0
    assert httpx.get(server.url + "/healthz").status_code == 200


def test_a_client_that_pings_now_and_then_and_sends_large_fragments_goes_on(server: ScriptedServer) -> None:
    with shake_hands(server, START, receive_buffer=1 << 20) as raw:
        raw.sendall(bare(PING) * 50)
        large = bytes(2048)
        raw.sendall(bytes([0x02, 0xFE]) + len(large).to_bytes(2, "big") + bytes(4) + large)
        for _ in range(300):
            raw.sendall(bytes([0x00, 0xFE]) + len(large).to_bytes(2, "big") + bytes(4) + large)
        raw.sendall(bare(0x80, b""))
        raw.sendall(bare(TEXT, json.dumps({"type": "stop"}).encode()))
        answer = read_to_its_end(raw)
    assert b'"type":"done"' in answer
    assert b'"duration":19.264' in answer


def test_text_that_is_none_ends_its_connection_and_leaves_no_traceback(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), shake_hands(server, START, receive_buffer=1 << 20) as raw:
        raw.sendall(bare(TEXT, b"\xff\xfe"))
        assert b"\x03\xefa text message is not UTF-8" in read_to_its_end(raw)  # 1007
    assert not [record for record in caplog.records if record.exc_info]


def test_refusals_from_one_address_are_logged_once_a_minute(
    server: ScriptedServer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(5):
            assert httpx.get(server.url + "/v1/sessions", headers={"Authorization": "Bearer no"}).status_code == 401
        assert httpx.get(server.url + "/nothing-here").status_code == 404
    assert time.monotonic() > 0
    lines = [record.getMessage() for record in caplog.records if "request_refused" in record.getMessage()]
    assert sum("token_wrong" in line for line in lines) <= 1
    assert sum("not_found" in line for line in lines) == 1

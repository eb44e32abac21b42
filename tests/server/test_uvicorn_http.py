"""A request's head has a deadline: raw sockets, since no client library is that slow."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.scripted_engine import ScriptedServer, scripted_server
from tests.support.scripted_reader import check, reader

HEAD_SECONDS = 0.6
PATIENT_SECONDS = 3.0  # where somebody has to be in time: on a busy machine too
LONG_SECONDS = 60.0
REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path, first_message_seconds=HEAD_SECONDS, max_sessions=4) as running:
        yield running


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path, first_message_seconds=PATIENT_SECONDS, max_sessions=4) as running:
        yield running


def connected(server: ScriptedServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.thread.port), timeout=120)


def everything(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    got = b""
    while data := connection.recv(4096):
        got += data
    return got


def test_who_sends_a_part_is_told_and_closed(server: ScriptedServer) -> None:
    with connected(server) as connection:
        connection.sendall(REQUEST[:12])
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"Send them at once" in answer


def test_who_sends_nothing_is_closed_without_a_word(server: ScriptedServer) -> None:
    with connected(server) as connection:
        assert everything(connection) == b""


def test_a_byte_now_and_then_wins_no_time(server: ScriptedServer) -> None:
    end = time.monotonic() + LONG_SECONDS
    with connected(server) as connection:
        connection.settimeout(HEAD_SECONDS / 6)
        answer = b""
        for byte in itertools.chain(REQUEST[:-2], itertools.cycle(b"X-Header: 1\r\n")):
            assert time.monotonic() < end, "the deadline never came"
            try:
                answer += connection.recv(4096)
                break
            except TimeoutError:
                connection.sendall(bytes([byte]))
    assert answer.startswith(b"HTTP/1.1 408")


def test_the_second_request_of_a_connection_has_a_deadline_too(server: ScriptedServer) -> None:
    with connected(server) as connection:
        connection.sendall(REQUEST + REQUEST[:9])
        answer = everything(connection)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.count(b"HTTP/1.1 408") == 1


@pytest.mark.slow
def test_whole_requests_are_answered_one_after_the_other(patient: ScriptedServer) -> None:
    with connected(patient) as connection:
        for _ in range(3):
            time.sleep(PATIENT_SECONDS * 0.4)
            connection.sendall(REQUEST[:5])
            connection.sendall(REQUEST[5:])
            answer = b""
            while not answer.endswith(b"}"):
                answer += connection.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.slow
def test_a_speaker_is_served_beside_many_that_never_end_their_headers(patient: ScriptedServer) -> None:
    slow = [connected(patient) for _ in range(40)]
    try:
        for connection in slow[::2]:
            connection.sendall(REQUEST[:12])
        check(asyncio.run(reader(patient)))
        answers = [everything(connection) for connection in slow]
    finally:
        for connection in slow:
            connection.close()
    assert {answer[:12] for answer in answers[::2]} == {b"HTTP/1.1 408"}
    assert set(answers[1::2]) == {b""}


@pytest.mark.slow
def test_a_websocket_outlives_the_deadline(patient: ScriptedServer) -> None:
    async def slow_speaker() -> None:
        check(await reader(patient, pause=1.5 * PATIENT_SECONDS))

    asyncio.run(slow_speaker())

"""Many at once on the real server: some that never read, some that have no business here. Others notice nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from benchmarks.strangers import knock
from tests.support.raw_socket import frame, shake_hands
from tests.support.scripted_engine import ScriptedEngine, ScriptedServer, scripted_server
from tests.support.scripted_reader import PCM, SECOND, check, reader

READERS = SLEEPERS = 50
STRANGERS = 300
FILLER = "x" * 20_000  # makes each commit so long that no socket holds what a sleeper is told
GROWTH_BYTES = 8_000_000 * (READERS + SLEEPERS)  # of the whole process: each session has threads, a decoder, a VAD

pytestmark = pytest.mark.faults


@contextmanager
def sleeper(server: ScriptedServer) -> Iterator[None]:
    """A client that sends ten seconds of audio and never reads."""
    with shake_hands(server, PCM, receive_buffer=4096) as raw:
        for _ in range(10):
            raw.sendall(frame(0x2, SECOND))
        yield


async def everybody(server: ScriptedServer) -> list[list[dict[str, Any]]]:
    return list(await asyncio.gather(*(reader(server) for _ in range(READERS))))


@pytest.mark.slow
def test_a_hundred_clients_of_which_half_never_read(tmp_path: Path) -> None:
    process = psutil.Process()
    with scripted_server(tmp_path, engine=ScriptedEngine(filler=FILLER), max_sessions=200) as server:
        before = process.memory_info().rss
        with contextmanagers([sleeper(server) for _ in range(SLEEPERS)]):
            for told in asyncio.run(everybody(server)):
                check(told)
            waiting = server.thread._app.state.connections.waiting_messages()
            assert waiting <= SLEEPERS * 16  # ready, ten commits, the newest live and ack, speech
        assert process.memory_info().rss - before < GROWTH_BYTES


@contextmanager
def contextmanagers(entered: list[Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for one in entered:
            stack.enter_context(one)
        yield


@pytest.mark.slow
def test_strangers_by_the_hundred_disturb_no_speaker(tmp_path: Path) -> None:
    async def both(server: ScriptedServer) -> tuple[list[dict[str, Any]], list[str]]:
        speaker = asyncio.create_task(reader(server, seconds=20))
        codes = await knock(server.thread.port, STRANGERS, at_once=30)
        return await speaker, codes

    with scripted_server(tmp_path) as server:
        told, codes = asyncio.run(both(server))
        check(told, seconds=20)
        assert len(codes) == STRANGERS
        assert set(codes) == {"token_wrong", "too_many_wrong_tokens"}
        assert codes.count("token_wrong") <= 50
        assert server.thread._app.state.entry.wrong_tokens.total == STRANGERS


def test_connections_that_say_nothing_end_by_themselves(tmp_path: Path) -> None:
    async def silent(server: ScriptedServer) -> str:
        try:
            async with connect(server.stream_url, proxy=None, open_timeout=120) as one:
                return str(json.loads(await one.recv())["code"])
        except (ConnectionClosed, InvalidHandshake, OSError) as error:
            return type(error).__name__

    async def all_of_them(server: ScriptedServer) -> list[str]:
        return list(await asyncio.gather(*(silent(server) for _ in range(60))))

    with scripted_server(tmp_path, first_message_seconds=1.0, max_unauthenticated=10) as server:
        codes = asyncio.run(all_of_them(server))
        assert set(codes) == {"token_missing", "too_many_unauthenticated"}
        assert len(server.thread._app.state.entry.unauthenticated) == 0
        check(asyncio.run(reader(server)))

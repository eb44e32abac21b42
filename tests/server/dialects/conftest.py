"""A scripted service for tests of the native dialect; other dialects' tests have their own."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.support.native_client import WAIT, Client, started, tone
from tests.support.scripted_engine import ScriptedServer, scripted_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScriptedServer]:
    with scripted_server(tmp_path_factory.mktemp("server"), max_message_bytes=65_536, max_sessions=100) as running:
        yield running


@pytest.fixture
def bystander(server: ScriptedServer) -> Iterator[None]:
    """A second session that talks all through a test, and must notice nothing of it."""
    stop = threading.Event()
    result: list[Client] = []

    def talk() -> None:
        with started(server) as other:
            result.append(other)
            sent = 0.0
            while not stop.is_set() or sent < 1.0:
                other.connection.send(tone(0.1))
                sent += 0.1
                stop.wait(0.02)
            other.say(type="stop")
            other.hear_out()

    thread = threading.Thread(target=talk)
    thread.start()
    yield
    stop.set()
    thread.join(WAIT)
    assert result[0].close_code == 1000
    assert result[0].of("error") == []
    assert result[0].of("final")

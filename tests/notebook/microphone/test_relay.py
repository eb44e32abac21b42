"""The relay against a server that writes down what arrives: frames come through as they are, in order."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from anyio.from_thread import start_blocking_portal
from websockets.asyncio.server import ServerConnection, serve

from openmic.client.link import Address
from openmic.client.result import Message
from openmic.notebook.microphone import relay as relays
from openmic.notebook.microphone.recording import Recording
from openmic.notebook.microphone.relay import Frame, Relay
from tests.support.waiting import wait_until

START = json.dumps({"type": "start", "words": True})
SAID = ['{"type": "live", "text": "Çağrı"}', '{"type":"ack"}']


class Echo:
    """A server that keeps what it gets and says ``SAID`` for each frame; "bye" ends the connection with 4404."""

    def __init__(self) -> None:
        self.got: list[Frame] = []
        self.shown: list[str | None] = []
        self.port = 0
        self.over = asyncio.Event()

    async def __call__(self, socket: ServerConnection) -> None:
        assert socket.request is not None
        self.shown += [socket.request.headers.get("Authorization"), socket.subprotocol]
        async for frame in socket:
            self.got.append(frame)
            if frame == '{"type": "bye"}':
                await socket.send(SAID[0])
                await socket.close(4404, "gone")
                return
            for said in SAID:
                await socket.send(said)

    async def run(self) -> None:
        async with serve(self, "127.0.0.1", 0, subprotocols=["openmic.v1"]) as server:  # type: ignore[list-item]
            self.port = next(iter(server.sockets)).getsockname()[1]
            await self.over.wait()


@pytest.fixture
def echo() -> Iterator[Echo]:
    with start_blocking_portal() as portal:
        server = Echo()
        portal.start_task_soon(server.run)
        wait_until(lambda: server.port)
        yield server
        portal.call(server.over.set)


@contextmanager
def relayed(
    port: int, recording: Recording, quiet_seconds: float = 60.0, kept: list[str] | None = None
) -> Iterator[Relay]:
    kept = [] if kept is None else kept

    def begin(_: Message) -> Recording:
        return recording

    with start_blocking_portal() as portal:
        address = Address(f"ws://127.0.0.1:{port}/v1/stream", f"127.0.0.1:{port}", True, "opens")
        yield Relay(portal, address, begin, kept.append, quiet_seconds)


def test_frames_pass_unchanged_and_in_order(echo: Echo) -> None:
    sent: list[Frame] = [
        START,
        *(bytes([number]) * (number * 37) for number in range(1, 60)),
        '{"type": "ping", "ü": 1}',
    ]
    with relayed(echo.port, Recording()) as relay:
        taken = [relay.take(sent[:20]), relay.take(sent[20:])]
        wait_until(lambda: len(echo.got) == len(sent))
        wait_until(lambda: taken.append(relay.take([])) or sum(len(one.frames) for one in taken) == 2 * len(sent))
    assert echo.got == sent
    assert echo.shown == ["Bearer opens", "openmic.v1"]
    frames = [frame for one in taken for frame in one.frames]
    assert frames == SAID * len(sent)
    before = 0
    for one in taken:
        assert (one.first, one.closed) == (before, None)
        before += len(one.frames)


def test_the_close_code_comes_after_the_last_frame(echo: Echo) -> None:
    with relayed(echo.port, Recording()) as relay:
        taken = [relay.take([START, '{"type": "bye"}'])]
        wait_until(lambda: taken.append(relay.take([])) or taken[-1].closed)
    assert taken[-1].closed == (4404, "gone")
    assert [frame for one in taken for frame in one.frames] == [*SAID, SAID[0]]


def test_a_service_that_is_not_there_is_a_broken_connection() -> None:
    with relayed(1, Recording()) as relay:
        wait_until(lambda: relay.take([]).closed)
        assert relay.take([]).closed == (1006, "[Errno 111] Connect call failed ('127.0.0.1', 1)")


def test_the_service_waits_for_a_page_that_cannot_be_heard(echo: Echo) -> None:
    recording, kept = Recording(), list[str]()
    with relayed(echo.port, recording, quiet_seconds=0.05, kept=kept) as relay:
        relay.take([START])
        recording.session_id = "s1"
        wait_until(lambda: kept.count("s1") >= 3)
        relay.leave()
        wait_until(lambda: len(echo.got) == 2)
        waited = len(kept)
        time.sleep(0.3)
    assert len(kept) <= waited + 1  # for whom nothing more can come it waits no longer
    assert echo.got == [START, '{"type": "stop"}']  # nothing is said in the page's place


def test_who_left_has_said_all(echo: Echo, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = Recording()
    monkeypatch.setattr(relays, "ABANDONED_SECONDS", 0.2)
    with relayed(echo.port, recording, quiet_seconds=0.1) as relay:
        relay.take([START, b"sound"])
        wait_until(lambda: '{"type": "stop"}' in echo.got)
        relay.leave()
        relay.take([b"more"])
        wait_until(lambda: b"more" in echo.got)
        assert echo.got.count('{"type": "stop"}') == 1
    assert recording.stopped

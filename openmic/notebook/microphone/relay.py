"""From posts of the card to a WebSocket: each frame is passed on as it is, in both directions."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import websockets
from anyio.from_thread import BlockingPortal
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from openmic.client.link import Address
from openmic.client.result import Message
from openmic.client.socket import MAX_FINAL_BYTES
from openmic.notebook.microphone.recording import Recording

logger = logging.getLogger(__name__)

SUBPROTOCOL = "openmic.v1"
QUIET_SECONDS = 10.0
ABANDONED_SECONDS = 900.0  # a page that posts nothing for so long is gone; a shorter silence may be a cell that runs
MAX_UNREAD = 10_000  # frames for the page; then the socket is read no further, and the service feels it
BROKEN = 1006  # the close code of a connection that was not closed in order

Frame = str | bytes


@dataclass(frozen=True, slots=True)
class Taken:
    """What the service has said since the last time.

    Attributes:
        first: how many frames had been taken before.
        frames: the new ones, in order.
        closed: close code and reason, once the connection has ended and all frames have been taken; else None.
    """

    first: int
    frames: list[str]
    closed: tuple[int, str] | None


class Relay:
    """One connection of a page to the service on this machine.

    It reads and writes in the thread of ``portal``, and has the service keep the session while the kernel runs a cell
    and answers nobody.

    Args:
        portal: running; the connection ends with it.
        address: of the service.
        begin: finds the recording for the page's first message.
        wait_for: has the service wait for a session; gets its name.
        quiet_seconds: how long the page may post nothing before the service is to wait for it.
    """

    def __init__(
        self,
        portal: BlockingPortal,
        address: Address,
        begin: Callable[[Message], Recording],
        wait_for: Callable[[str], None],
        quiet_seconds: float = QUIET_SECONDS,
    ) -> None:
        self._address = address
        self._begin = begin
        self._wait_for = wait_for
        self._quiet_seconds = quiet_seconds
        self._to_service: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._to_page: deque[str] = deque()
        self._lock = threading.Lock()
        self._room = asyncio.Event()
        self._taken = 0
        self._closed: tuple[int, str] | None = None
        self._recording: Recording | None = None
        self._left = False  # nobody takes what the service says
        self.taken_at = time.monotonic()
        self._loop, self._task = portal.call(self._start)

    def take(self, frames: Sequence[Frame]) -> Taken:
        """Pass ``frames`` on; gives what the service has said meanwhile. Waits for nothing."""
        self.taken_at = time.monotonic()
        for frame in frames:
            if isinstance(frame, str):
                self._note(json.loads(frame))
            self._send(frame)
        with self._lock:  # of two threads that answer the front end
            closed, first = self._closed, self._taken
            said = [self._to_page.popleft() for _ in range(len(self._to_page))]
            self._taken += len(said)
        self._loop.call_soon_threadsafe(self._room.set)
        return Taken(first, said, closed)

    def leave(self) -> None:
        """The page is gone: what it sent is all; the service writes the final text."""
        self._left = True
        self._loop.call_soon_threadsafe(self._room.set)
        if self._recording is not None and not self._recording.stopped:
            self._recording.stopped = True
            self._send(json.dumps({"type": "stop"}))

    def close(self) -> None:
        """End the connection; the session may be resumed by another."""
        self._left = True
        self._loop.call_soon_threadsafe(self._room.set)
        self._recording = None
        self._send(None)

    def _send(self, frame: Frame | None) -> None:
        self._loop.call_soon_threadsafe(self._to_service.put_nowait, frame)

    def _note(self, message: Message) -> None:
        if message["type"] in ("start", "resume"):
            self._recording = self._begin(message)
        if self._recording is not None:
            self._recording.sent(message)

    async def _start(self) -> tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]:
        """The loop, whose `call_soon_threadsafe` waits for nothing; and a task that is cancelled when the loop ends.

        A task of the portal would be cancelled at each `await`, so that it could not close its socket.
        """
        return asyncio.get_running_loop(), asyncio.create_task(self._run())

    async def _run(self) -> None:
        closed = (BROKEN, "")
        try:
            async with websockets.connect(
                self._address.url,
                additional_headers={"Authorization": f"Bearer {self._address.token}"},
                subprotocols=[websockets.Subprotocol(SUBPROTOCOL)],
                max_size=MAX_FINAL_BYTES,
                proxy=None,
            ) as socket:
                sending = asyncio.create_task(self._pass_on(socket))
                try:
                    await self._read(socket)
                finally:
                    sending.cancel()
            closed = (socket.close_code or BROKEN, socket.close_reason or "")
        except (OSError, WebSocketException) as failure:
            closed = (BROKEN, str(failure))
        except Exception:  # nobody asks for the task's result
            logger.exception("the connection of the notebook's microphone to the service failed")
        finally:
            with self._lock:
                self._closed = closed

    async def _read(self, socket: ClientConnection) -> None:
        try:
            async for frame in socket:
                assert isinstance(frame, str), "openmic.v1 sends text alone"
                if self._recording is not None:
                    self._recording.on_message(json.loads(frame))
                while len(self._to_page) >= MAX_UNREAD and not self._left:
                    self._room.clear()
                    await self._room.wait()
                if not self._left:
                    self._to_page.append(frame)
        except websockets.ConnectionClosed:
            return  # its code is read from the socket

    async def _pass_on(self, socket: ClientConnection) -> None:
        while True:
            try:
                async with asyncio.timeout(self._quiet_seconds):
                    frame = await self._to_service.get()
            except TimeoutError:
                if time.monotonic() - self.taken_at > ABANDONED_SECONDS:
                    self.leave()
                elif self._recording is not None and not self._left:
                    self._wait_for(self._recording.session_id)
                continue
            if frame is None:
                await socket.close()
                return
            await socket.send(frame)

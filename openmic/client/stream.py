"""One stream of audio to the service, and its messages back; a dropped connection is resumed by itself.

Follows ``docs/protocol.md``: bytes are kept here until the service has confirmed that they are in its journal, so a
resume sends again exactly what is missing.
"""

from __future__ import annotations

import asyncio
import json
from random import Random
from types import TracebackType
from typing import Any, Unpack

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from openmic.client.inbox import Inbox
from openmic.client.link import Address, parse_link
from openmic.client.options import DEFAULT_WAITS, StreamOptions, Waits
from openmic.client.outbox import Outbox
from openmic.client.problems import PROBLEMS
from openmic.client.result import Message, Result
from openmic.client.socket import PASSING, closing_error, open_socket, read_message
from openmic.errors import OpenmicError

PIECE_BYTES = 65_536  # the largest binary message sent, where the service allows that much
FIRST_DELAY_SECONDS, LAST_DELAY_SECONDS = 0.2, 5.0  # between attempts to reconnect; doubled each time
FINAL_CLOSE_CODES = {1000, 1009, 1013, *range(4000, 5000)}  # after these no resume can help


def connect(link: str, token: str | None = None, **options: Unpack[StreamOptions]) -> Stream:
    """A stream to the service at ``link``, to be opened with ``async with``.

    Args:
        link: the service's link; may hold the token (``https://host/#token=...``).
        token: the token, where the link does not hold it.
        options: see ``StreamOptions``.

    Raises:
        OpenmicError: ``bad_url``, ``no_token``.
    """
    return Stream(parse_link(link, token), options)


class Stream:
    """``async with`` opens it; then send bytes, iterate over messages, and stop.

    Messages come as the protocol has them, less ``ack`` and ``pong``, and with one kind of the client's own:
    ``{"type": "connection", "state": "lost" | "resumed", "detail": str}``. An unread ``live`` is replaced by the next.

    Attributes:
        session_id: the service's name for this stream; "" before it is open.
        ready: the service's ``ready`` message; empty before it is open.
        result: the final transcript, once it came.
    """

    def __init__(self, address: Address, options: StreamOptions) -> None:
        self.ready: Message = {}
        self.result: Result | None = None
        self._address = address
        self._random = Random()  # a caller may have seeded Python's own, and rely on it
        self._waits: Waits = {**DEFAULT_WAITS}
        self._start: dict[str, Any] = {"type": "start"}
        self._find_link = options.get("find_link")
        self._moved_to: Address | None = None
        for name, value in options.items():
            if name == "find_link":
                continue
            if name in DEFAULT_WAITS:
                self._waits[name] = value  # type: ignore[literal-required]
            elif value is not None:
                self._start[name] = value
        self._outbox = Outbox()
        self._inbox = Inbox()
        self._to_write = asyncio.Event()
        self._confirmed = asyncio.Event()
        self._stopping = False
        self._after_seq = 0
        self._pings = 0
        self._received_something = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def session_id(self) -> str:
        """The service's name for this stream."""
        return str(self.ready.get("session_id", ""))

    @property
    def confirmed_bytes(self) -> int:
        """How many bytes the service has in its journal."""
        return self._outbox.confirmed

    async def __aenter__(self) -> Stream:
        socket = await self._open(self._start)
        self._task = asyncio.create_task(self._run(socket), name="openmic-stream")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._cancel()
            await asyncio.wait([self._task])

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Send audio: any slice of a container stream or of raw PCM. Waits while too much is unconfirmed.

        Raises:
            OpenmicError: ``already_stopped``, ``not_acknowledged``, or why the stream ended.
        """
        view = memoryview(data).cast("B")
        for begin in range(0, len(view), PIECE_BYTES):
            self._check_open()
            self._outbox.put(view[begin : begin + PIECE_BYTES])
            self._to_write.set()
            await self._wait_for_room()

    async def flush(self) -> None:
        """Treat what was said so far as an ended utterance."""
        self._check_open()
        self._outbox.put_flush()
        self._to_write.set()

    async def ping(self) -> None:
        """Keep a stream open through a pause in which no audio is sent."""
        self._check_open()
        self._pings += 1
        self._to_write.set()

    async def stop(self) -> None:
        """No more audio; the final follows. Calling it again does nothing."""
        self._stopping = True
        self._to_write.set()

    def fail(self, error: BaseException) -> None:
        """End the stream from this side; iterating over it raises ``error``."""
        self._inbox.close(error)
        self._cancel()

    def _cancel(self) -> None:
        """End the task once: a second cancellation would interrupt the closing of its socket."""
        if self._task is not None and not self._task.cancelling():
            self._task.cancel()

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Message:
        message = await self._inbox.get()
        if message is None:
            raise StopAsyncIteration
        return message

    def _check_open(self) -> None:
        if self._inbox.error is not None:
            raise self._inbox.error
        if self._stopping or self._inbox.closed:
            raise PROBLEMS.error("already_stopped")

    async def _wait_for_room(self) -> None:
        seconds = self._waits["confirm_seconds"]
        try:
            async with asyncio.timeout(seconds):
                while len(self._outbox) > self._waits["keep_bytes"] and not self._inbox.closed:
                    self._confirmed.clear()
                    await self._confirmed.wait()
        except TimeoutError as late:
            raise PROBLEMS.error("not_acknowledged", host=self._address.host, seconds=seconds) from late

    async def _open(self, first: Message) -> ClientConnection:
        socket, ready = await open_socket(self._address, first, self._waits["open_seconds"])
        if not self._outbox.rewind(int(ready["received_bytes"])):
            await socket.close()
            raise PROBLEMS.error("session_lost", host=self._address.host)
        self.ready = {**self.ready, **ready}
        await self._inbox.put(ready)
        return socket

    async def _run(self, socket: ClientConnection) -> None:
        """Talk, and reconnect when the connection drops, until the service is done."""
        try:
            while True:
                broken = await self._talk(socket)
                if broken is None:
                    break
                await self._report_connection("lost", broken.what)
                socket = await self._reconnect(broken)
                await self._report_connection("resumed", "")
            self._inbox.close(None if self.result else self._no_final())
        except asyncio.CancelledError:
            self._inbox.close()
            raise
        except Exception as error:  # it is raised where the stream is iterated over
            self._inbox.close(error)
        finally:
            self._confirmed.set()

    async def _talk(self, socket: ClientConnection) -> OpenmicError | None:
        """Read and write until ``done`` (None) or until the connection drops (why)."""
        reader = asyncio.create_task(self._read(socket))
        writer = asyncio.create_task(self._write(socket))
        try:
            await asyncio.wait([reader, writer], return_when=asyncio.FIRST_COMPLETED)
            if writer.done() and writer.exception() is not None:
                writer.result()
            return await reader
        finally:
            reader.cancel()
            writer.cancel()
            await asyncio.wait([reader, writer])
            await socket.close()

    async def _read(self, socket: ClientConnection) -> OpenmicError | None:
        error_message: Message | None = None
        try:
            while True:
                message = read_message(await socket.recv(), self._address)
                self._received_something.set()
                kind = message["type"]
                if kind == "error" and message.get("fatal"):
                    error_message = message
                elif kind == "ack":
                    self._outbox.confirm(int(message["received_bytes"]))
                    self._confirmed.set()
                elif kind != "pong" and not self._is_echo(message) and self._is_new(message):
                    if message.get("code") == "public_url_changed" and message.get("url"):
                        moved_to = parse_link(str(message["url"]), self._address.token)
                        if self._address.may_lead_to(moved_to):
                            self._moved_to = moved_to
                    await self._inbox.put(message)
                    if kind == "done":
                        return None
        except ConnectionClosed as closed:
            code = closed.rcvd.code if closed.rcvd is not None else 1006
            error = closing_error(self._address, closed, error_message)
            if error_message is not None or code in FINAL_CLOSE_CODES:
                raise error from closed
            return error

    def _is_echo(self, message: Message) -> bool:
        """Whether the service only says that a ``stop``, sent again after a resume, had arrived before."""
        return self._stopping and message["type"] == "error" and message.get("code") == "already_stopped"

    def _is_new(self, message: Message) -> bool:
        """Whether this message was not seen before a resume; also takes the result out of a ``final``."""
        if "seq" in message and message["type"] != "live":
            if message["seq"] <= self._after_seq:
                return False
            self._after_seq = int(message["seq"])
        if message["type"] == "final":
            self.result = Result.from_message(message, self.session_id)
        return True

    async def _write(self, socket: ClientConnection) -> None:
        """Write what the outbox holds, then ``stop``; a closed socket is the reader's to explain."""
        limit = min(PIECE_BYTES, int(self.ready.get("limits", {}).get("max_message_bytes") or PIECE_BYTES))
        try:
            while True:
                self._to_write.clear()
                while (piece := self._outbox.take(limit)) is not None:
                    await socket.send(piece or '{"type":"flush"}')
                if self._stopping:
                    break
                while self._pings:
                    self._pings -= 1
                    await socket.send('{"type":"ping"}')
                await self._to_write.wait()
            await socket.send(json.dumps({"type": "stop"}))
            await self._wait_for_silence()
        except ConnectionClosed:
            return

    async def _wait_for_silence(self) -> None:
        """Return never; raise once the service has said nothing for ``final_seconds``."""
        try:
            while True:
                self._received_something.clear()
                async with asyncio.timeout(self._waits["final_seconds"]):
                    await self._received_something.wait()
        except TimeoutError as late:
            raise self._no_final() from late

    def _no_final(self) -> OpenmicError:
        seconds = self._waits["final_seconds"]
        return PROBLEMS.error("no_final", host=self._address.host, seconds=seconds, session_id=self.session_id)

    async def _reconnect(self, last: OpenmicError) -> ClientConnection:
        loop, seconds = asyncio.get_running_loop(), self._waits["reconnect_seconds"]
        deadline, delay = loop.time() + seconds, FIRST_DELAY_SECONDS
        while (left := deadline - loop.time()) > 0:
            await asyncio.sleep(min(left, delay * self._random.uniform(0.5, 1.0)))
            delay = min(2 * delay, LAST_DELAY_SECONDS)
            try:
                await self._look_for_service()
                return await self._open(
                    {
                        "type": "resume",
                        "session_id": self.session_id,
                        "resume_token": self.ready["resume_token"],
                        "after_seq": self._after_seq,
                    }
                )
            except OpenmicError as error:
                if error.code not in PASSING:
                    raise
                last = error
        raise PROBLEMS.error("connection_lost", host=self._address.host, seconds=seconds, detail=last.message) from last

    async def _look_for_service(self) -> None:
        """Before another try: the address by the caller's lookup, or the old one and the new one in turn."""
        link = await asyncio.to_thread(self._find_link) if self._find_link is not None else None
        if link is not None:
            self._address = parse_link(link, None if "#token=" in link else self._address.token)
        elif self._moved_to is not None:
            self._address, self._moved_to = self._moved_to, self._address

    async def _report_connection(self, state: str, detail: str) -> None:
        await self._inbox.put({"type": "connection", "state": state, "detail": detail})

"""uvicorn's WebSocket protocol, with a deadline for peers that do not close, and a limit for data outside messages.

Two ways of ending need more than uvicorn has. A peer that reads nothing never lets a close frame through, and asyncio
then keeps the connection until its buffer is empty: for ever. And a peer in the middle of a message that is far too
large would see the connection reset, and not why, if it were closed while that message still comes in.

Pings, pongs and small fragments never reach the application, which limits messages; each still costs the event loop
some microseconds, and a quarter of a megabyte of them, which is one read of a socket, some tenths of a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Response

ABORT = "openmic.abort"  # our key in the ASGI scope's extensions
LINGER_SECONDS = 10.0  # how long a refused peer may go on sending before the connection is dropped
SLICE_BYTES = 4096  # of what was read, worked off before the limit is looked at again
MAX_CONTROL_RATE = 50.0  # control frames and small fragments a second from one peer, in the long run
CONTROL_BURST = 200  # of them at once
SMALL_FRAGMENT_BYTES = 1024  # larger ones are limited by what they carry
POLICY_VIOLATION, NOT_UTF8 = 1008, 1007  # RFC 6455, 7.4.1


class SocketProtocol(WebSocketsSansIOProtocol):
    """Gives the application a way to drop the connection, and a refused peer the time to read why."""

    _lingering = False
    _control_frames = 0.0  # beyond the rate
    _control_at = 0.0

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        conversation: Any = self.conn
        conversation.send_response = _each_header_once(self.conn.send_response)

    async def run_asgi(self) -> None:
        """Run the application, with ``ABORT`` among its scope's extensions."""
        self.scope["extensions"][ABORT] = {"abort": self.transport.abort}
        await super().run_asgi()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the peer; after a refusal they are thrown away."""
        for start in range(0, len(data), SLICE_BYTES):
            if self._lingering or self.transport.is_closing():
                return
            super().data_received(data[start : start + SLICE_BYTES])
            if self._control_frames > CONTROL_BURST:
                self._refuse(POLICY_VIOLATION, "too many control frames")

    def handle_ping(self) -> None:
        """Answer a ping."""
        self._count_control_frame()
        super().handle_ping()

    def handle_pong(self, event: Frame) -> None:
        """Take a pong."""
        self._count_control_frame()
        super().handle_pong(event)

    def handle_cont(self, event: Frame) -> None:
        """Take a fragment of a message."""
        if len(event.data) < SMALL_FRAGMENT_BYTES:
            self._count_control_frame()
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """Hand a whole message on; a text that is none ends the connection (uvicorn would also log a traceback)."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            try:
                b"".join(self.frames).decode()
            except UnicodeDecodeError:
                self._refuse(NOT_UTF8, "a text message is not UTF-8")
                return
        super().send_receive_event_to_app()

    def handle_parser_exception(self) -> None:
        """Send the close frame that says why, then wait for the peer to close."""
        if self.conn.close_sent is None or not self.handshake_complete:
            super().handle_parser_exception()
            return
        self._lingering = True
        code, reason = self.conn.close_sent.code, self.conn.close_sent.reason
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.transport.write_eof()
        self.transport.resume_reading()
        self.close_sent = True
        self.close_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)

    def _count_control_frame(self) -> None:
        now = self.loop.time()
        self._control_frames = max(0.0, self._control_frames - (now - self._control_at) * MAX_CONTROL_RATE) + 1.0
        self._control_at = now

    def _refuse(self, code: int, reason: str) -> None:
        if self.close_sent or not self.handshake_complete:  # nothing more can be said
            self.transport.abort()
            return
        self.conn.send_close(code, reason)
        self.handle_parser_exception()


def _each_header_once(send: Callable[[Response], None]) -> Callable[[Response], None]:
    """uvicorn before 0.54 puts the headers of a refused handshake beside websockets' own: the last of each counts."""

    def send_response(response: Response) -> None:
        headers = response.headers
        for name in ("Content-Length", "Content-Type"):
            values = headers.get_all(name)
            if len(values) > 1:
                del headers[name]
                headers[name] = values[-1]
        send(response)

    return send_response


def abort(websocket: WebSocket) -> None:
    """Drop the connection without a word, where the server offers it."""
    drop = _drop(websocket)
    if drop is not None:
        drop()


def abort_soon(websocket: WebSocket, seconds: float) -> None:
    """Drop the connection after so long, unless it has ended by then."""
    drop = _drop(websocket)
    if drop is not None:
        asyncio.get_running_loop().call_later(seconds, drop)


def _drop(websocket: WebSocket) -> Callable[[], None] | None:
    drop: Callable[[], None] | None = websocket.scope.get("extensions", {}).get(ABORT, {}).get("abort")
    return drop

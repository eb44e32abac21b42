"""uvicorn's WebSocket protocol, with an end for those who do not take theirs.

Two ways of ending need more than uvicorn has. A peer that reads nothing never lets a close frame through, and asyncio
then keeps the connection until its buffer is empty: for ever. And a peer in the middle of a message that is far too
large would see the connection reset, and not why, if it were closed while that message still comes in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

ABORT = "openmic.abort"  # our key in the ASGI scope's extensions
LINGER_SECONDS = 10.0  # how long a refused peer may go on sending before the connection is dropped


class SocketProtocol(WebSocketsSansIOProtocol):
    """Gives the application a way to drop the connection, and a refused peer the time to read why."""

    _lingering = False

    async def run_asgi(self) -> None:
        """Run the application, with ``ABORT`` among its scope's extensions."""
        self.scope["extensions"][ABORT] = {"abort": self.transport.abort}
        await super().run_asgi()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the peer; after a refusal they are thrown away."""
        if not self._lingering:
            super().data_received(data)

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

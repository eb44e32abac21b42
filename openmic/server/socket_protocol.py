"""uvicorn's WebSocket protocol, with an end for those who do not take theirs.

A peer that reads nothing never lets a close frame through, and asyncio then keeps the connection until its buffer is
empty: for ever. The application can ask for an abort instead.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.websockets import WebSocket
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

ABORT = "openmic.abort"  # our key in the ASGI scope's extensions


class SocketProtocol(WebSocketsSansIOProtocol):
    """Gives the application a way to drop the connection."""

    async def run_asgi(self) -> None:
        """Run the application, with ``ABORT`` among its scope's extensions."""
        self.scope["extensions"][ABORT] = {"abort": self.transport.abort}
        await super().run_asgi()


def abort(websocket: WebSocket) -> None:
    """Drop the connection without a word, where the server offers it."""
    drop: Callable[[], None] | None = websocket.scope.get("extensions", {}).get(ABORT, {}).get("abort")
    if drop is not None:
        drop()

"""A client's WebSocket whose waits all end: too large messages are refused, a client that reads nothing has left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from starlette.responses import Response
from starlette.websockets import WebSocket

from openmic.server.dialects.dialect import Frame
from openmic.server.problems import PROBLEMS
from openmic.server.uvicorn_protocols.websocket import abort

SEND_SECONDS = 20.0  # how long one message may take to leave before a client counts as not reading


class Gone(Exception):
    """The client has gone, or reads nothing: nobody is left to tell."""


class ClientSocket:
    """Frames from and to one client.

    Args:
        websocket: not accepted yet.
        subprotocol: which of the offered ones to choose, if any.
        max_message_bytes: the largest message that is taken.

    Attributes:
        accepted: whether the handshake has been answered.
    """

    def __init__(
        self, websocket: WebSocket, subprotocol: Callable[[list[str]], str | None], max_message_bytes: int
    ) -> None:
        self.accepted = False
        self._websocket = websocket
        self._subprotocol = subprotocol
        self._max_message_bytes = max_message_bytes

    async def accept(self) -> None:
        """Answer the handshake, unless that was done.

        Raises:
            Gone: the client has.
        """
        if self.accepted:
            return
        self.accepted = True
        offered = self._websocket.scope.get("subprotocols", [])
        try:
            await self._websocket.accept(subprotocol=self._subprotocol(offered))
        except Exception as error:
            raise Gone from error

    async def receive(self) -> Frame:
        """The next message, however late it comes.

        Raises:
            Gone: the client has.
            OpenmicError: ``message_too_large``.
        """
        event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise Gone
        received: Frame | None = event.get("bytes")
        if received is None:
            received = event.get("text") or ""
        size = len(received if isinstance(received, bytes) else received.encode(errors="replace"))
        if size > self._max_message_bytes:
            raise PROBLEMS.error("message_too_large", size=size, max_message_bytes=self._max_message_bytes)
        return received

    async def send(self, frames: Iterable[Frame]) -> None:
        """Send messages one after the other.

        Raises:
            Gone: one of them did not leave in time, or the client has gone.
        """
        await self.accept()
        try:
            for frame in frames:
                async with asyncio.timeout(SEND_SECONDS):
                    if isinstance(frame, bytes):
                        await self._websocket.send_bytes(frame)
                    else:
                        await self._websocket.send_text(frame)
        except TimeoutError as error:
            abort(self._websocket)
            raise Gone from error
        except Exception as error:
            raise Gone from error

    async def deny(self, response: Response) -> None:
        """Answer the handshake over HTTP instead.

        Raises:
            Gone: the client has.
        """
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._websocket.send_denial_response(response)
        except Exception as error:
            raise Gone from error

    async def close(self, code: int, reason: str = "") -> None:
        """Close, with a code of the WebSocket protocol.

        Raises:
            Gone: the client has closed before.
        """
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._websocket.close(code, reason)
        except Exception as error:
            raise Gone from error

"""Sends what waits for a client, as its dialect's frames, and says when the connection ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NoReturn

from openmic.server.dialects.client_socket import ClientSocket
from openmic.server.dialects.dialect import Dialect, Frame, Goodbye, Outgoing, Reply
from openmic.server.dialects.outbox import Outbox
from openmic.sessions.events import Ended, Failed, Finalised, Replaced


class Closing(Exception):
    """The last message is out; the connection ends with this code and reason, because of an error if one is named."""

    def __init__(self, code: int, error_code: str | None = None, reason: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.error_code = error_code
        self.reason = (error_code or "") if reason is None else reason


class EventWriter:
    """Writes for one connection.

    Args:
        outbox: what waits.
        dialect: makes frames of it.
        socket: takes them.
        on_session_over: called where the client has read its session's last event and the connection goes on.
    """

    def __init__(
        self,
        outbox: Outbox[Outgoing | Reply],
        dialect: Dialect,
        socket: ClientSocket,
        on_session_over: Callable[[], None],
    ) -> None:
        self._outbox = outbox
        self._dialect = dialect
        self._socket = socket
        self._on_session_over = on_session_over

    async def run(self) -> NoReturn:
        """Send whatever comes, in its order.

        Raises:
            Closing: the connection ends.
            Gone: the client reads nothing more.
        """
        while True:
            outgoing = await self._outbox.get()
            if isinstance(outgoing, Reply):
                await self._socket.send(outgoing.frames)
                continue
            if isinstance(outgoing, Finalised):  # a long one takes a while to write down
                frames = await asyncio.to_thread(self._frames, outgoing)
            else:
                frames = self._frames(outgoing)
            goodbye = frames.pop() if frames and isinstance(frames[-1], Goodbye) else None
            await self._socket.send(frame for frame in frames if not isinstance(frame, Goodbye))
            if isinstance(goodbye, Goodbye):
                error_code = outgoing.error.code if isinstance(outgoing, Failed) else None
                raise Closing(goodbye.code, error_code, goodbye.reason)
            match outgoing:
                case Ended() | Failed() | Replaced():
                    self._leave_session(outgoing)

    def _leave_session(self, last: Ended | Failed | Replaced) -> None:
        """What becomes of the connection once the client has read its session's last event."""
        code = self._dialect.close_code(last)
        if code is not None:
            error_code = (
                last.error.code if isinstance(last, Failed) else "replaced" if isinstance(last, Replaced) else None
            )
            raise Closing(code, error_code)
        self._on_session_over()

    def _frames(self, outgoing: Outgoing) -> list[Frame | Goodbye]:
        return list(self._dialect.write(outgoing))

"""uvicorn's HTTP protocol, with a deadline for the head of a request, and one for a client that does not read.

uvicorn waits for ever for a request line and headers that come byte by byte or not at all; each such connection costs
a file descriptor, and a client that opens enough of them ("slow headers") keeps everybody else out. So does one that
asks for a download and then reads nothing of it.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

UNREAD_SECONDS = 20.0  # how long a full send buffer may stay full

TIMEOUT = (
    b"HTTP/1.1 408 Request Timeout\r\n"
    b"content-type: text/plain; charset=utf-8\r\n"
    b"connection: close\r\n"
    b"\r\n"
    b"The request's headers did not come in time, so the connection is closed. Send them at once.\n"
)


class HttpProtocol(H11Protocol):
    """Closes where a request's head is not there ``head_seconds`` after the connection was opened.

    A client that sent a part of it gets 408 first. One that sent nothing gets no answer: browsers open connections for
    requests that they may have later, and could take an answer to none of them for the answer to the next. A later
    request on the same connection has as long from its first byte; before that uvicorn's keep-alive counts.
    """

    head_seconds: ClassVar[float] = 5.0
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    @classmethod
    def within(cls, seconds: float) -> type[HttpProtocol]:
        """The protocol with another deadline."""
        return type(cls.__name__, (cls,), {"head_seconds": seconds})

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client has connected: its first request's head is awaited."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._forget_deadline()
        self._forget_unread()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read as fast as it is sent to: it has so long to make room, then it is dropped."""
        super().pause_writing()
        self._forget_unread()
        self._unread = self.loop.call_later(UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read on."""
        self._forget_unread()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client; a part of a head does not move its deadline."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """A request is answered; a part of the next one's head may be here already."""
        super().on_response_complete()
        self._look()

    def _look(self) -> None:
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0] and not self.transport.is_closing():
            self._await_head()
        else:
            self._forget_deadline()

    def _await_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.head_seconds, self._give_up)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _forget_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.transport.is_closing():
            return
        if self.conn.trailing_data[0]:
            self.transport.write(TIMEOUT)
        self.transport.close()

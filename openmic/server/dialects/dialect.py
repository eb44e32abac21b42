"""What one wire protocol knows. Sockets, limits, pace and threads are the connection's (``connection.py``).

To add one: a class with these methods, and one line in ``app.py`` (docs/dialects.md).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from fastapi import APIRouter, FastAPI
from starlette.responses import Response
from starlette.websockets import WebSocket

from openmic.errors import OpenmicError
from openmic.sessions.events import Ended, Failed, Replaced, SessionEvent
from openmic.sessions.session import Session
from openmic.sessions.types import Term

if TYPE_CHECKING:
    from openmic.server.dialects.connection import StreamConnection

Frame = str | bytes
"""A WebSocket message: text or binary."""

# --- what a client's frame asks for


@dataclass(frozen=True, slots=True)
class Audio:
    """Bytes of the recording, as they came."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Flush:
    """What was said so far is an ended utterance."""


@dataclass(frozen=True, slots=True)
class Stop:
    """No more audio comes; the final is wanted.

    Attributes:
        within_seconds: longest wait for it: then the client is told ``Leaving`` and the session goes on without it.
        flush: also end the utterance, so that its ``UtteranceEnded`` says when all live text is out.
    """

    within_seconds: float | None = None
    flush: bool = False


@dataclass(frozen=True, slots=True)
class Renew:
    """As ``Stop``, and once the session has told its last, ``begin`` is called again for what the client sends next."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Only an answer; of answers of one ``kind`` that wait for a slow reader only the newest is sent."""

    frames: tuple[Frame, ...]
    kind: Hashable | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that ``write`` makes frames of when its turn comes: for dialects that number their messages."""

    message: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Configure:
    """Change the running stream; answered by ``frames`` or ``answer``, where there is one.

    Attributes:
        endpoint_silence_seconds: silence that ends an utterance; None: as before.
        vocabulary, prompt: names and terms, and the text before; None: as before.
    """

    endpoint_silence_seconds: float | None = None
    frames: tuple[Frame, ...] = ()
    vocabulary: tuple[Term, ...] | None = None
    prompt: str | None = None
    answer: Answer | None = None


Asked = Audio | Flush | Stop | Renew | Configure | Reply | Answer | None
"""None: nothing is to be done."""

# --- what a client is told beside its session's events


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """So many bytes are safe on disk: a client that comes back need not send them again."""

    received_bytes: int


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to know about; ``url``: where to go on, if that is what it is about."""

    error: OpenmicError
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """What was just asked for is not done; the stream goes on."""

    error: OpenmicError


@dataclass(frozen=True, slots=True)
class Leaving:
    """The final is not there within the time that the client waits."""


@dataclass(frozen=True, slots=True)
class Goodbye:
    """In the place of a last frame: the connection is closed with this code, though its session may go on."""

    code: int
    reason: str = ""


Outgoing = SessionEvent | Acknowledged | Notice | Rejected | Leaving | Answer


class Dialect(Protocol):
    """One client's conversation; a new object for each connection, used on the event loop, one call at a time.

    Attributes:
        resumes: a client whose connection broke may come back. If not, its session is finished at once.
        renews: the connection may go on with another session after one has ended.
    """

    resumes: bool
    renews: bool

    def subprotocol(self, offered: list[str]) -> str | None:
        """Which of the WebSocket subprotocols that the client offers is spoken; None: none is named."""

    def shown_token(self, websocket: WebSocket) -> str | None:
        """The token that came with the handshake, if any; else ``begin`` looks for it in the first message."""

    async def begin(self, connection: StreamConnection) -> Session:
        """Find out what the client wants, and open or resume its session through ``connection``.

        The handshake is answered when the first message is waited for, or else when the session is attached. What is
        raised before is told by ``deny``, if that has an answer.
        Called again for the next session, where ``close_code`` says that the connection goes on.

        Raises:
            OpenmicError: told by ``refuse``, and the connection is closed.
        """

    def read(self, frame: Frame) -> Asked:
        """What a frame asks for, once the session is open.

        Raises:
            OpenmicError: not understood. It is told as ``Rejected``, or by ``refuse`` where it ``ends`` the connection.
        """

    def write(self, outgoing: Outgoing) -> Iterable[Frame | Goodbye]:
        """What the client is told, as its frames; none where this dialect has no word for it.

        Called in a worker thread for a ``Finalised``, which takes a while to write down where it is long.
        """

    def deny(self, error: OpenmicError) -> Response | None:
        """The answer to a handshake that is refused; None: it is accepted first, and told by ``refuse``."""

    def refuse(self, error: OpenmicError) -> tuple[Iterable[Frame], int]:
        """The last frames and the close code of a connection that ends with ``error``."""

    def close_code(self, last: Ended | Failed | Replaced) -> int | None:
        """The close code behind a session's last event; None: the connection goes on, and ``begin`` is called again."""


class PortListener(Protocol):
    """What serves a dialect that is spoken on a port of its own, on the server's event loop."""

    async def start(self) -> None:
        """Listen."""

    def close(self) -> None:
        """Take no more connections; those that are open end with their sessions."""


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where one dialect is spoken.

    Attributes:
        sockets: by WebSocket path, what makes a ``Dialect`` for each connection.
        routers: its routes over HTTP.
        listeners: by the app, what listens on a port of its own.
    """

    sockets: Mapping[str, Callable[[], Dialect]] = field(default_factory=dict)
    routers: tuple[APIRouter, ...] = ()
    listeners: tuple[Callable[[FastAPI], PortListener], ...] = ()

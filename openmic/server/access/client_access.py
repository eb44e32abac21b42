"""One client's way in: its origin, its token, its place among the open connections, and what it may begin."""

from __future__ import annotations

import logging
from collections.abc import Callable

from starlette.websockets import WebSocket

from openmic.log import log_event
from openmic.server.access.connections import Connection, Connections
from openmic.server.access.gate import Gate
from openmic.server.access.tokens import AccessToken

logger = logging.getLogger(__name__)


class ClientAccess:
    """What the gate knows of one connection; used on the event loop.

    Args:
        connection: takes a place among ``connections``.
        websocket: its own.
        gate: checks it.
        connections: all that are open.

    Attributes:
        token: that the client has shown; None: none so far.
    """

    def __init__(self, connection: Connection, websocket: WebSocket, gate: Gate, connections: Connections) -> None:
        self._connection = connection
        self._websocket = websocket
        self._gate = gate
        self._connections = connections
        self.token: AccessToken | None = None

    def enter(self) -> None:
        """Take a place among the open connections.

        Raises:
            OpenmicError: see ``Gate.check_origin``, ``Connections.enter``.
        """
        self._gate.check_origin(self._websocket)
        self._connections.enter(self._connection)

    def admit(self, shown: str | None) -> None:
        """Admit the client, as far as its handshake identifies it.

        Args:
            shown: the token in the handshake; None: it comes in the first message.

        Raises:
            OpenmicError: see ``Gate.check``; ``too_many_unauthenticated``.
        """
        self.token = self._gate.check(shown, self._websocket) if shown is not None else None
        if self.token is None or self.token.expired:  # an expired one may only resume: not let in until then
            self._gate.unauthenticated.admit(self)

    def authenticate(self, shown: str | None, *, begins: bool, on_revoked: Callable[[], None]) -> None:
        """Check the token of the first message, unless the handshake had one.

        Args:
            shown: in the first message, if any.
            begins: the client wants a new session. A token whose life is over may still resume.
            on_revoked: called, from any thread, when the token is revoked.

        Raises:
            OpenmicError: see ``Gate.check``; ``token_expired``, ``token_revoked``.
        """
        if self.token is None:
            self.token = self._gate.check(shown, self._websocket)
        if begins:
            self.token.check_alive()
        self._gate.tokens.watch(self, self.token, on_revoked)

    def count_start(self) -> AccessToken:
        """Count one more session that the client begins; its token.

        Raises:
            OpenmicError: see ``Gate.count_start``.
        """
        assert self.token is not None
        self._gate.count_start(self.token, self._websocket)
        return self.token

    def check_not_revoked(self, token_id: str) -> None:
        """Refuse a session whose own token was revoked.

        Raises:
            OpenmicError: ``token_revoked``.
        """
        self._gate.tokens.check_not_revoked(token_id)

    def authenticated(self) -> None:
        """Give back the place among the connections that have not shown their token."""
        self._gate.unauthenticated.leave(self)

    def leave(self) -> None:
        """Give back all places; the token is watched no longer."""
        self._gate.unauthenticated.leave(self)
        self._gate.tokens.unwatch(self)
        self._connections.leave(self._connection)

    def log_refusal(self, code: str) -> None:
        """Write a refusal into the log, unless its address has filled it with others."""
        address = self._gate.address(self._websocket)
        unlogged = self._gate.refusals.due("connection_refused", code, address)
        if unlogged is not None:
            log_event(logger, "connection_refused", code=code, address=address, unlogged=unlogged or None)

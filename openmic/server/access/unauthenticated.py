"""Connections whose token is still to come with their first message: few at once, so that nobody can hold many open."""

from __future__ import annotations

from openmic.server.problems import PROBLEMS
from openmic.settings import Settings


class UnauthenticatedConnections:
    """Counts them; used on the server's event loop only."""

    def __init__(self, settings: Settings) -> None:
        self._most = settings.max_unauthenticated
        self._seconds = settings.first_message_seconds
        self._here: set[object] = set()

    def __len__(self) -> int:
        return len(self._here)

    def admit(self, connection: object) -> None:
        """Give a connection one of the places, until ``leave``.

        Raises:
            OpenmicError: ``too_many_unauthenticated``: all are taken.
        """
        if len(self._here) >= self._most:
            raise PROBLEMS.error("too_many_unauthenticated", most=self._most, seconds=self._seconds)
        self._here.add(connection)

    def leave(self, connection: object) -> None:
        """Its token was right, or it has ended; nothing happens to one that has no place."""
        self._here.discard(connection)

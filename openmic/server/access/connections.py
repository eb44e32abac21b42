"""The WebSocket connections of one server: how many there may be, and which must be notified."""

from __future__ import annotations

import asyncio
from typing import Protocol

from openmic.errors import OpenmicError
from openmic.server.problems import PROBLEMS


class Connection(Protocol):
    """One of them."""

    def warn(self, warning: OpenmicError, url: str | None = None) -> None:
        """Tell its client something to know about; from any thread."""

    def end_idle(self, error: OpenmicError) -> None:
        """End it with ``error`` if it has no session; from any thread."""

    def waiting_messages(self) -> int:
        """How many messages are on their way to it."""


class Connections:
    """All that are open; entered and left on the event loop, told things from any thread.

    Args:
        most: that may be open at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._tasks: dict[Connection, asyncio.Task[None] | None] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def enter(self, connection: Connection) -> None:
        """Take a place.

        Raises:
            OpenmicError: ``too_many_connections``.
        """
        if len(self._tasks) >= self._most:
            raise PROBLEMS.error("too_many_connections", most=self._most)
        self._tasks[connection] = asyncio.current_task()

    def leave(self, connection: Connection) -> None:
        """Give the place back; nothing happens to one that has none."""
        self._tasks.pop(connection, None)

    def warn(self, warning: OpenmicError, url: str | None = None) -> None:
        """Tell all of them."""
        for connection in list(self._tasks):
            connection.warn(warning, url)

    def waiting_messages(self) -> int:
        """How many messages are on their way to all of them together."""
        return sum(connection.waiting_messages() for connection in list(self._tasks))

    async def ended(self, seconds: float, error: OpenmicError) -> None:
        """Wait up to ``seconds`` until the open connections have ended; those without a session end with ``error``."""
        for connection in list(self._tasks):
            connection.end_idle(error)
        tasks = [task for task in self._tasks.values() if task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)

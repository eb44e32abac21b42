"""File descriptors: as many as the system allows, and a part of them never for connections.

A connection costs one descriptor, and so does each file that a session's sound and words go into. A client that opens
connections fast enough would otherwise take the last one, and then nothing could be saved, deleted or let in any more.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import resource
import socket
import time
from typing import Any

from openmic.log import log_event

logger = logging.getLogger(__name__)

WANTED = 65_536
SOME_SYSTEMS_MOST = 10_240  # macOS calls its hard limit infinite and takes no more than this
FEWEST_FOR_FILES = 64
PART_FOR_FILES = 4  # a quarter, where that is more
SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
PAUSE_SECONDS = 0.5  # less than asyncio's own pause before it accepts again (1 s)
TOLD_EVERY_SECONDS = 60.0


def raise_limit() -> int:
    """Raise this process's soft limit of descriptors towards its hard one; returns what it is then. Never lowers it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in (WANTED, SOME_SYSTEMS_MOST):
        if hard != resource.RLIM_INFINITY:
            wanted = min(wanted, hard)
        if soft == resource.RLIM_INFINITY or soft >= wanted:
            break
        with contextlib.suppress(OSError, ValueError):  # it is more than the system gives
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
    return WANTED if soft == resource.RLIM_INFINITY else soft


def for_connections(limit: int) -> int:
    """How many of ``limit`` descriptors connections may take, with all else that was open before them."""
    return limit - min(max(FEWEST_FOR_FILES, limit // PART_FOR_FILES), limit // 2)


class Listener(socket.socket):
    """A listening socket that takes no connection beyond its share of the descriptors, and bears that there are none.

    The system gives the lowest number that is free: the number of a new connection's descriptor says how many are in
    use. One beyond the share is closed at once; established connections notice nothing.

    Args:
        family: ``socket.AF_INET`` or ``socket.AF_INET6``.
        most: descriptors that connections may take, see ``for_connections``.
    """

    def __init__(self, family: int, most: int) -> None:
        # Named, as asyncio turns Nagle's algorithm off only where it is: else a message waits up to 40 ms for the
        # acknowledgement of the one before it.
        super().__init__(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._most = most
        self._paused_until = self._told_at = float("-inf")
        self._closed_at_once = 0

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection; asyncio takes a ``ConnectionAbortedError`` for the end of those that wait now.

        Raises:
            OSError: no descriptor is left. Once: asyncio then stops accepting for a second, but goes on with its round
                of as many tries as may wait, each with a traceback and a restart of its own.
            BlockingIOError: the same again within that time, which ends the round.
        """
        try:
            connection, address = super().accept()
        except OSError as error:
            if error.errno not in SHORT:
                raise
            self._tell()
            if time.monotonic() < self._paused_until:
                raise BlockingIOError(errno.EAGAIN, "No descriptor is left") from error
            self._paused_until = time.monotonic() + PAUSE_SECONDS
            raise
        if connection.fileno() >= self._most:
            connection.close()
            self._closed_at_once += 1
            self._tell()
            raise ConnectionAbortedError(errno.ECONNABORTED, "Connections have all their descriptors")
        return connection, address

    def _tell(self) -> None:
        if time.monotonic() - self._told_at < TOLD_EVERY_SECONDS:
            return
        self._told_at = time.monotonic()
        log_event(logger, "descriptors_short", logging.WARNING, most=self._most, closed=self._closed_at_once)


def lacks_descriptors(context: dict[str, Any]) -> bool:
    """Whether what asyncio reports to an exception handler is the lack of descriptors, of which ``Listener`` tells."""
    exception = context.get("exception")
    return isinstance(exception, OSError) and exception.errno in SHORT and "socket" in context

"""Journals to the disk, by one thread, so that nobody else waits for a disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Protocol


class Syncable(Protocol):
    """Something that is in a file and can be forced to the disk; cheap where nothing is new."""

    def sync(self) -> None: ...


class Syncer:
    """Forces what was written to the disk: every ``seconds``, and soon after ``soon``.

    Args:
        seconds: longest time between two rounds.
        everything: gives what there is.
    """

    def __init__(self, seconds: float, everything: Callable[[], Iterable[Syncable]]) -> None:
        self._seconds = seconds
        self._everything = everything
        self._wanted = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="openmic-sync", daemon=True)
        self._thread.start()

    def soon(self) -> None:
        """Begin a round now; returns at once."""
        self._wanted.set()

    def close(self, seconds: float) -> None:
        """Make a last round and end, within ``seconds``."""
        self._closed = True
        self._wanted.set()
        self._thread.join(seconds)

    def _run(self) -> None:
        closed = False
        while not closed:
            self._wanted.wait(self._seconds)
            self._wanted.clear()
            closed = self._closed
            for one in self._everything():
                one.sync()

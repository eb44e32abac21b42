"""Journals to the disk, by one thread, so that nobody else waits for a disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from openmic.threads import LATE_SECONDS, SupervisedThread


class Syncable(Protocol):
    """Something that is in a file and can be forced to the disk; cheap where nothing is new."""

    def sync(self) -> None:
        """Force what is new to the disk."""


class FsyncThread:
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
        self._thread = SupervisedThread("openmic-sync", self._run, LATE_SECONDS + seconds)
        self._thread.start()

    def soon(self) -> None:
        """Begin a round now; returns at once."""
        self._wanted.set()

    def close(self, seconds: float) -> None:
        """Make a last round and end, within ``seconds``."""
        self._closed = True
        self._wanted.set()
        self._thread.join(seconds)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with its thread now; empty: nothing."""
        return self._thread.problems

    def _run(self) -> None:
        closed = False
        while not closed:
            self._wanted.wait(self._seconds)
            self._wanted.clear()
            closed = self._closed
            with self._thread.turn():
                self._sync()

    def _sync(self) -> None:
        """Force everything to the disk; one that cannot be does not keep the others from it.

        Raises:
            Exception: the first that one of them raised.
        """
        failure: Exception | None = None
        for one in self._everything():
            try:
                one.sync()
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

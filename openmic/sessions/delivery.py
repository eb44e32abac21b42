"""One thread that writes down what the engine says, and then tells it: the engine's own thread waits for no disk."""

from __future__ import annotations

import queue
from collections.abc import Callable

from openmic.threads import SupervisedThread

Deliver = Callable[[Callable[[], None]], None]
"""Takes a piece of work that is done soon, in the order of the calls."""

IDLE_SECONDS = 1.0  # between two turns in which nothing is to be done


def at_once(work: Callable[[], None]) -> None:
    """Deliver in the calling thread."""
    work()


class DeliveryThread:
    """Does the work of all sessions of one server in turn; what one piece raises keeps no other from being done."""

    def __init__(self) -> None:
        self._work: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread = SupervisedThread("openmic-delivery", self._run)
        self._thread.start()

    @property
    def problems(self) -> tuple[str, ...]:
        """See ``SupervisedThread.problems``."""
        return self._thread.problems

    def submit(self, work: Callable[[], object]) -> None:
        """Have ``work`` done, behind all that was submitted before; from any thread, returns at once."""
        self._work.put(work)

    def close(self, seconds: float) -> None:
        """Do what was submitted, and end; waits at most so long."""
        self._work.put(None)
        self._thread.join(seconds)

    def _run(self) -> None:
        while True:
            try:
                work = self._work.get(timeout=IDLE_SECONDS)
            except queue.Empty:
                work = _nothing
            if work is None:
                return
            with self._thread.turn():
                work()


def _nothing() -> None:
    """A turn without work: the thread is well."""

"""Threads that keep a promise go on, whatever one of their turns raises, and say how they are."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

from openmic.log import log_event

logger = logging.getLogger(__name__)

LATE_SECONDS = 60.0  # without the end of a turn, before a thread counts as late


class SupervisedThread:
    """A daemon thread whose work is done in turns, none of which can end it.

    Args:
        name: of the thread, as ``openmic-keeper``; told where it fails.
        run: the thread's whole work; it does each turn in ``with turn():``.
        late_seconds: without the end of a turn, before it counts as late.
        clock: seconds; replaced in tests.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], None],
        late_seconds: float = LATE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self._clock, self._late_seconds = clock, late_seconds
        self._well_at = clock()
        self._failing: set[str] = set()
        self._ended = False
        self._run = run
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait until it has ended, at most so long; called from the thread itself, it does not wait."""
        if self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._thread.is_alive()

    @contextlib.contextmanager
    def turn(self, part: str = "") -> Iterator[None]:
        """One turn, or a part of one: what it raises is told once, until a later turn of this part ends well.

        Args:
            part: what is done in it, where a turn has several parts that must not keep each other from their work.
        """
        called = f"{self.name} {part}".strip()
        try:
            yield
        except Exception:  # a folder that hiccups, descriptors that ran out: the next turn may do
            if called not in self._failing:
                self._failing.add(called)
                log_event(logger, "service_fault", logging.ERROR, part=called)
        else:
            if called in self._failing:
                self._failing.discard(called)
                log_event(logger, "service_recovered", part=called)
        self._well_at = self._clock()

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with it now, each in some words; empty: nothing."""
        failing = [f"{part} fails" for part in sorted(self._failing)]
        if self._ended or not self._thread.ident:
            return tuple(failing)
        if not self._thread.is_alive():
            return (*failing, f"{self.name} is dead")
        late = self._clock() - self._well_at
        return (*failing, f"{self.name} is late") if late > self._late_seconds else tuple(failing)

    def _work(self) -> None:
        self._run()
        self._ended = True

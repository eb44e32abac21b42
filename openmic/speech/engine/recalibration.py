"""How many can speak at once, measured again while nobody does.

A measurement is true of its moment: a shared machine may be half as quick a minute later, or have been while the model
was loaded. So an idle engine measures again, seldom and ever more seldom, and of the newest measurements the middle one
counts. Who comes meanwhile does not wait for it: it is given up at the next step.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from openmic.speech.engine.calibration import Costs, describe_capacity

log = logging.getLogger(__name__)

FIRST_IDLE_SECONDS = 60.0  # without anybody, before the costs are measured again; twice as long after each time,
LONGEST_IDLE_SECONDS = 3600.0  # at most
NEWEST = 5  # measurements, of which the middle one counts
COMPARED_SPEAKERS = 4  # by whose load measurements are put in order

Again = Callable[[Callable[[], bool]], Costs | None]
"""Measures as long as its argument says that nobody has come; None: somebody has."""


class Measured:
    """The costs that count.

    Args:
        first: as measured at warm-up; None: not measured, and never.
        again: measures again; None: what was measured first stays.
        clock: in seconds, monotonic.
    """

    def __init__(
        self, first: Costs | None, again: Again | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._newest = deque([] if first is None else [first], NEWEST)
        self._again = None if first is None else again
        self._clock = clock
        self._pause = FIRST_IDLE_SECONDS
        self._idle_since = clock()

    @property
    def costs(self) -> Costs | None:
        """The middle of the newest measurements; of an even number, the dearer of the middle two."""
        ordered = sorted(self._newest, key=lambda costs: costs.load(COMPARED_SPEAKERS))
        return ordered[len(ordered) // 2] if ordered else None

    @property
    def capacity(self) -> int | None:
        """How many may speak at once; None where that was not measured."""
        costs = self.costs
        return None if costs is None else costs.capacity()

    def close(self) -> None:
        """Measure no more, and let go of what it takes."""
        self._again = None

    def busy(self) -> None:
        """Somebody is there."""
        self._idle_since = self._clock()

    def idle(self, nobody: Callable[[], bool]) -> None:
        """Nobody is there: measure again if that has been so for long enough, and while ``nobody`` says so."""
        if self._again is None or self._clock() - self._idle_since < self._pause:
            return
        before = self.capacity
        try:
            costs = self._again(nobody)
        except RuntimeError as failure:  # torch's own errors, CUDA's and out of memory are all of this kind
            log.warning("measuring again has failed, what was measured before stays: %s", failure)
            self._again = None
            return
        if costs is not None:
            self._newest.append(costs)
            self._pause = min(2 * self._pause, LONGEST_IDLE_SECONDS)
        self._idle_since = self._clock()
        if self.capacity is not None and self.capacity != before:
            log.info("measured again: about %s, not %s", describe_capacity(self.capacity), before)

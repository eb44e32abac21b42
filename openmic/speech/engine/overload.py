"""What the engine notices of its own load while people speak: steps that got dearer, live text that is late.

What was measured at warm-up is true of an idle machine. Other programs, a hot processor or another user of the GPU make
every step dearer afterwards, and nobody says so; it shows in the steps themselves.
"""

from __future__ import annotations

from collections import deque

SLOWNESS_SECONDS = 30.0  # the steps of so long a time count
LEAST_STEPS = 8  # of them; fewer say nothing
LATE_SECONDS = 3.0  # speech that has waited longer than this for its live step is late
LATE_FOR_SECONDS = 2.0  # late for so long is more than a hiccup,
ON_TIME_SECONDS = 5.0  # and over once nobody has been late for so long
GAP_SECONDS = 1.0  # away for less is not away, before that
HELD_BACK_SECONDS = 10.0  # final passes that give way for so long are told


class Slowness:
    """How much dearer live steps are than measured: the time they took over the time they should have taken."""

    def __init__(self) -> None:
        self._steps: deque[tuple[float, float, float]] = deque()

    def note(self, now: float, took_seconds: float, expected_seconds: float) -> None:
        """A step has ended at ``now``."""
        self._steps.append((now, took_seconds, expected_seconds))

    def factor(self, now: float) -> float:
        """At least 1; 1 where too little is known."""
        while self._steps and self._steps[0][0] < now - SLOWNESS_SECONDS:
            self._steps.popleft()
        if len(self._steps) < LEAST_STEPS:
            return 1.0
        return max(1.0, sum(took for _, took, _ in self._steps) / sum(expected for _, _, expected in self._steps))


class Episode:
    """A condition that has been there for a while, until it has been away for ``ON_TIME_SECONDS``.

    Args:
        begins_after_seconds: how long it must be there; gaps up to ``GAP_SECONDS`` do not count.
    """

    def __init__(self, begins_after_seconds: float) -> None:
        self._begins_after_seconds = begins_after_seconds
        self._since: float | None = None
        self._last = 0.0

    def note(self, now: float, holds: bool) -> None:
        """Whether it is there at ``now``; between two moments at which it is, it is."""
        if holds:
            self._since = now if self._since is None else self._since
            self._last = now
        elif now - self._last > (ON_TIME_SECONDS if self.lasts else GAP_SECONDS):
            self._since = None

    @property
    def lasts(self) -> bool:
        """Whether it has begun and is not over."""
        return self._since is not None and self._last - self._since >= self._begins_after_seconds

"""How the service did over the last minutes: one moment every other second, for metrics and for the dashboard.

The delay of live text is, of each speaker at each moment, the audio that the live text on the screen did not know yet;
percentiles are over all speakers and the moments of the last ``DELAY_SECONDS``, so that one late text of one speaker
does not look like a late service.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MOMENT_SECONDS = 2.0  # from one moment to the next
KEPT_SECONDS = 300.0
DELAY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Moment:
    """The service at one moment.

    Attributes:
        at: ``time.monotonic``.
        speakers: sessions that take audio.
        places: sessions that may be open at once.
        busy: fraction of the last seconds in which the engine worked, 0..1.
        memory_bytes: the device's memory in use; None where it cannot be told.
        delay_p50_seconds, delay_p90_seconds: what live text is behind, the middle and the
            ninth of ten; None: nobody speaks.
    """

    at: float
    speakers: int
    places: int
    busy: float
    memory_bytes: int | None
    delay_p50_seconds: float | None
    delay_p90_seconds: float | None


class LoadHistory:
    """Moments of the last ``KEPT_SECONDS``. One thread adds, any may read.

    Args:
        clock: in seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._moments = deque[Moment](maxlen=math.ceil(KEPT_SECONDS / MOMENT_SECONDS))
        self._delays = deque[tuple[float, float]]()
        self._next_at = clock()

    @property
    def moments(self) -> tuple[Moment, ...]:
        """All of them, the oldest first."""
        return tuple(self._moments)

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return self._clock() >= self._next_at

    def add(self, delays: Sequence[float], places: int, busy: float, memory_bytes: int | None) -> None:
        """Add this moment.

        Args:
            delays: seconds that live text is behind, one for each session that takes audio.
            places: as the moment's.
            busy: as the moment's.
            memory_bytes: as the moment's.
        """
        now = self._clock()
        self._next_at = now + MOMENT_SECONDS
        self._delays.extend((now, delay) for delay in delays)
        while self._delays and self._delays[0][0] <= now - DELAY_SECONDS:
            self._delays.popleft()
        ordered = sorted(delay for _, delay in self._delays)
        self._moments.append(
            Moment(now, len(delays), places, busy, memory_bytes, percentile(ordered, 0.5), percentile(ordered, 0.9))
        )


def percentile(ordered: Sequence[float], part: float) -> float | None:
    """The smallest value that at least ``part`` (0..1) of all are not above; None of none."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else None

"""What is refused, in the log: once a minute from one address, so that nobody can wash its older lines out."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable

from openmic.log import log_event

logger = logging.getLogger(__name__)

QUIET_SECONDS = 60.0  # between two lines of one kind from one address
MOST_REMEMBERED = 1000  # the one longest quiet is forgotten for another


class RefusalLog:
    """Used on the event loop only.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: OrderedDict[tuple[str, str, str], tuple[float, int]] = OrderedDict()  # when, and how many since

    def tell(self, event: str, code: str, address: str) -> None:
        """Write ``event``, unless the same was written of this address less than ``QUIET_SECONDS`` ago."""
        kind, now = (event, code, address), self._clock()
        told_at, since = self._told.get(kind, (float("-inf"), 0))
        if now - told_at < QUIET_SECONDS:
            self._told[kind] = (told_at, since + 1)
            return
        self._told[kind] = (now, 0)
        self._told.move_to_end(kind)
        while len(self._told) > MOST_REMEMBERED:
            self._told.popitem(last=False)
        log_event(logger, event, code=code, address=address, unlogged=since or None)

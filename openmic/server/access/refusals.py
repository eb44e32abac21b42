"""Refused clients in the log: one line a minute for each address, so that nobody can push older lines out of it."""

from __future__ import annotations

import time
from collections import OrderedDict

QUIET_SECONDS = 60.0  # between two lines of one kind from one address
MOST_REMEMBERED = 1000  # the one longest quiet is forgotten for another


class RefusalLog:
    """Used on the event loop only."""

    def __init__(self) -> None:
        self._told: OrderedDict[tuple[str, str, str], tuple[float, int]] = OrderedDict()  # when, and how many since

    def due(self, event: str, code: str, address: str) -> int | None:
        """Whether this line is to be written.

        Returns:
            None: the same was written of this address less than ``QUIET_SECONDS`` ago. Else how many were not, since.
        """
        kind, now = (event, code, address), time.monotonic()
        told_at, since = self._told.get(kind, (float("-inf"), 0))
        if now - told_at < QUIET_SECONDS:
            self._told[kind] = (told_at, since + 1)
            return None
        self._told[kind] = (now, 0)
        self._told.move_to_end(kind)
        while len(self._told) > MOST_REMEMBERED:
            self._told.popitem(last=False)
        return since

"""Which of several replicas has the most places free, by what each has reported and what was sent to it since.

The router's arithmetic, without Ray: the simulation of large clusters (``benchmarks/cluster.py``) uses it as well.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from itertools import takewhile

OPEN = "open"  # of what a replica says: connections that it has,
FREE = "free"  # and how many sessions it would let in besides
SAID_SECONDS = 0.5  # how often each replica is asked
LOST_SECONDS = 5.0  # after which a connection that was to go to a replica, and never did, is forgotten
UNKNOWN_FREE = 0.5  # of a replica that has just been made: better than one that is full, worse than one that is not


@dataclass(slots=True)
class _Sent:
    """What was sent to one replica: connections by name and since when, the oldest first."""

    on_way: dict[str, float] = field(default_factory=dict)
    there: dict[str, float] = field(default_factory=dict)


class FreePlaces:
    """Counts what one proxy sends where; what a question costs does not grow with the connections that last.

    Args:
        clock: in seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._replicas: dict[Hashable, _Sent] = {}
        self._where: dict[str, Hashable] = {}

    def sent(self, connection: str, replica: Hashable, *, arrived: bool = False) -> None:
        """A connection, by its name, is on its way to a replica, or is there."""
        self.over(connection)
        self._where[connection] = replica
        known = self._replicas.setdefault(replica, _Sent())
        (known.there if arrived else known.on_way)[connection] = self._clock()

    def over(self, connection: str) -> None:
        """It has ended; nothing happens where it is not known."""
        replica = self._where.pop(connection, None)
        known = self._replicas.get(replica)
        if known is not None:
            known.on_way.pop(connection, None)
            known.there.pop(connection, None)
            if not known.on_way and not known.there:
                del self._replicas[replica]

    def free(self, replica: Hashable, reported: Mapping[str, int]) -> float:
        """Places that are free at a replica.

        Args:
            replica: which.
            reported: its latest ``OPEN`` and ``FREE``; empty: it has reported nothing yet.
        """
        now = self._clock()
        known = self._replicas.get(replica, _Sent())
        for connection in [*takewhile(lambda name: now - known.on_way[name] > LOST_SECONDS, known.on_way)]:
            self.over(connection)
        sent = len(known.on_way) + len(known.there)
        if not reported:
            return UNKNOWN_FREE / (1 + sent)
        if sent >= reported[OPEN]:
            return reported[FREE] - (sent - reported[OPEN])
        # Another proxy sends people there, too: nobody here can tell which of those inside are whose.
        return reported[FREE] - sum(_since(ats, now - SAID_SECONDS) for ats in (known.on_way, known.there))


def _since(ats: dict[str, float], when: float) -> int:
    """How many are younger than ``when``."""
    return sum(1 for _ in takewhile(lambda at: at > when, reversed(ats.values())))

"""Where a connection goes: by free places, as openmic's router has it, or as Ray Serve does by itself."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Protocol

from benchmarks.simulated.places_only import PlacesOnly
from benchmarks.simulated.replica import Replica
from openmic.cluster.places import FreePlaces

Simulated = Replica | PlacesOnly


class Routing(Protocol):
    """One proxy, through which everybody comes."""

    def choose(self, replicas: Sequence[Simulated], connection: str, now: float) -> Simulated:
        """The replica for a connection; of at least one."""

    def over(self, connection: str) -> None:
        """It has ended."""


class ByFreePlaces:
    """openmic's: the replica with the most places free by what it has said, and by what was sent there since."""

    def __init__(self) -> None:
        self._now = 0.0
        self._places = FreePlaces(lambda: self._now)

    def choose(self, replicas: Sequence[Simulated], connection: str, now: float) -> Simulated:
        """See ``Routing``."""
        self._now = now
        best = max(replicas, key=lambda replica: self._places.free(replica.name, replica.said))
        self._places.sent(connection, best.name, arrived=True)
        return best

    def over(self, connection: str) -> None:
        """See ``Routing``."""
        self._places.over(connection)


class TwoByChance:
    """Serve's: of two replicas by chance the one with fewer connections; their numbers are known exactly here.

    Args:
        random: draws the two.
    """

    def __init__(self, random: Random) -> None:
        self._random = random

    def choose(self, replicas: Sequence[Simulated], connection: str, now: float) -> Simulated:
        """See ``Routing``."""
        two = self._random.sample(replicas, min(2, len(replicas)))
        return min(two, key=lambda replica: replica.connections)

    def over(self, connection: str) -> None:
        """It keeps no record."""

"""A replica whose engine is always in time: places are taken and given back, and nothing else happens.

Refusals are rare and come in bunches, so that they must be counted over hours. This counts an hour of 64 GPUs in half a
minute; how late live text is then, the replica with the engine says (``replica.py``).
"""

from __future__ import annotations

import heapq

from benchmarks.simulated.speakers import Speaker
from openmic.cluster.places import FREE, OPEN
from openmic.sessions.problems import ServerFull
from openmic.speech.engine.costs import Costs

FINAL_SECONDS = 0.4  # from the end of speech to the final: nine of ten, where the engine was simulated


class PlacesOnly:
    """See ``Replica``.

    Args:
        name: of it.
        costs: of its engine: they say how many places it has.
    """

    def __init__(self, name: str, costs: Costs) -> None:
        self.name = name
        self.said: dict[str, int] = {}
        self.capacity = costs.capacity()
        self._leave_at: list[tuple[float, str, Speaker]] = []

    @property
    def connections(self) -> int:
        """How many sessions are here."""
        return len(self._leave_at)

    @property
    def free_places(self) -> int:
        """How many more it would let in now."""
        return max(0, self.capacity - self.connections)

    def say(self) -> None:
        """Tell the router what it has and would let in."""
        self.said = {OPEN: self.connections, FREE: self.free_places}

    def admit(self, speaker: Speaker) -> None:
        """Let somebody begin.

        Raises:
            ServerFull: there is no room.
        """
        if not self.free_places:
            raise ServerFull(self.connections, self.capacity, 1.0)
        self.take(speaker)

    def take(self, speaker: Speaker) -> None:
        """Have a session, which begins or comes from another replica."""
        heapq.heappush(self._leave_at, (speaker.ends + FINAL_SECONDS, speaker.name, speaker))

    def let_go(self) -> list[Speaker]:
        """Everybody who is still here; nobody is any more."""
        speakers, self._leave_at = [speaker for _, _, speaker in self._leave_at], []
        return speakers

    def play(self, until: float) -> list[Speaker]:
        """Let time pass; returns those who have got their final."""
        over = []
        while self._leave_at and self._leave_at[0][0] <= until:
            at, _, speaker = heapq.heappop(self._leave_at)
            speaker.end(at)
            over.append(speaker)
        return over

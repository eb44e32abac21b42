"""Replicas behind one router in virtual time: speakers come and go, replicas die and are replaced.

Arrivals do not depend on how the cluster does (Poisson, with log-normal lengths); a speaker who is refused does not
come again. It begins in the middle: with as many people speaking as there are in the long run, if they find a place.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from benchmarks.simulated.places_only import PlacesOnly
from benchmarks.simulated.replica import Replica
from benchmarks.simulated.routing import ByFreePlaces, Routing, Simulated, TwoByChance
from benchmarks.simulated.speakers import MEAN_SECONDS, Seen, Speaker, arriving, met
from openmic.cluster.places import FREE, SAID_SECONDS
from openmic.sessions.problems import ServerFull
from openmic.settings import Settings
from openmic.speech.engine.costs import Costs

SETTLING_SECONDS = 10.0  # before anything is counted
DEATH_SECONDS = 10.5  # from a death until a client is in at another machine: `lease_seconds`, and a hand-over
HANDOVER_SECONDS = 0.5  # the same where the holder lets go
NEW_REPLICA_SECONDS = 25.0  # from an end until its successor takes connections: 15 s of Serve's, and the model's load
LEAVING_SECONDS = 5.0  # until a replica that is to go knows it: nobody has asked it for 4 s, and it looks each second
AT_ONCE = 0.2  # of the replicas, at least one, are replaced at once by a rolling update, as by Serve


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated.

    Attributes:
        costs: of each replica's engine.
        offered: people who would speak at once, were nobody refused.
        seconds: of virtual time that are counted.
        by_free_places: openmic's router; False: Serve's.
        engine: simulate engines; False: replicas have places and nothing else.
        kill_every_seconds: a replica by chance is killed so often; None: never.
        update: all replicas are replaced, from the beginning on.
        seed: of everything that chance decides.
    """

    costs: tuple[Costs, ...]
    offered: float
    seconds: float
    by_free_places: bool = True
    engine: bool = True
    kill_every_seconds: float | None = None
    update: bool = False
    seed: int = 1

    @property
    def places(self) -> int:
        """Of all replicas."""
        return sum(costs.capacity() for costs in self.costs)


@dataclass(slots=True)
class Outcome:
    """What became of it.

    Attributes:
        seen: words and finals.
        came, refused: people, after the settling time; the others were served.
        refused_beside_a_place: of those refused, while another replica would have let them in.
        killed: replicas.
        cut, handed_over: sessions that went on at another replica: of one killed, of one replaced.
        finished: sessions that got their final, of all times.
        inside: sessions that have not, at the end.
        begun: sessions of all times.
        speaking_mean: sessions at once, over time.
        fullest: the most that one replica had.
        updated_at: when the last replica was replaced, from the beginning; None: not yet.
    """

    seen: Seen
    came: int = 0
    refused: int = 0
    refused_beside_a_place: int = 0
    killed: int = 0
    cut: int = 0
    handed_over: int = 0
    finished: int = 0
    inside: int = 0
    begun: int = 0
    speaking_mean: float = 0.0
    fullest: int = 0
    updated_at: float | None = None

    @property
    def lost(self) -> int:
        """Sessions of which nobody knows what became."""
        return self.begun - self.finished - self.inside

    @property
    def refused_part(self) -> float:
        """Of those who came."""
        return self.refused / max(1, self.came)


class Cluster:
    """One scenario on its way.

    Args:
        scenario: what is simulated.
        settings: of each replica.
    """

    def __init__(self, scenario: Scenario, settings: Settings) -> None:
        self._scenario, self._settings = scenario, settings
        self._random = Random(scenario.seed)
        self._routing: Routing = ByFreePlaces() if scenario.by_free_places else TwoByChance(Random(scenario.seed))
        self._outcome = Outcome(Seen(since=SETTLING_SECONDS))
        self._now = 0.0
        self._up: dict[int, Simulated] = {}  # by their number among the costs
        self._leaving: dict[int, tuple[Simulated, float]] = {}  # they take nobody any more; since when
        self._old: list[int] = []  # still to be replaced
        self._away = 0  # sessions that are at no replica just now
        self._inside: list[int] = []  # sessions at each look
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def run(self) -> Outcome:
        """Play it to its end."""
        scenario, outcome = self._scenario, self._outcome
        for number in range(len(scenario.costs)):
            self._start(number)
        self._begin_in_the_middle()
        self._at(self._next_gap(), self._arrive)
        self._at(SAID_SECONDS, self._look)
        if scenario.kill_every_seconds is not None:
            self._at(SETTLING_SECONDS, self._kill)
        if scenario.update:
            self._old = sorted(self._up)
            self._at(SETTLING_SECONDS, self._update)
        while self._events[0][0] <= SETTLING_SECONDS + scenario.seconds:
            self._now, _, event = heapq.heappop(self._events)
            event()
        outcome.inside = self._count_inside()
        outcome.speaking_mean = sum(self._inside) / max(1, len(self._inside))
        return outcome

    # --- speakers

    def _begin_in_the_middle(self) -> None:
        expected = self._scenario.offered
        count = round(self._random.normalvariate(expected, expected**0.5))
        for _ in range(count):
            speaker = met(self._name(), 0.0, self._random, self._outcome.seen)
            if self._let_in(speaker):
                self._outcome.begun += 1

    def _arrive(self) -> None:
        self._at(self._now + self._next_gap(), self._arrive)
        speaker = arriving(self._name(), self._now, self._random, self._outcome.seen)
        inside = self._let_in(speaker)
        self._outcome.begun += inside
        if self._now >= SETTLING_SECONDS:
            self._outcome.came += 1
            if not inside:
                self._outcome.refused += 1
                self._outcome.refused_beside_a_place += any(replica.free_places for replica in self._up.values())

    def _let_in(self, speaker: Speaker) -> bool:
        replica = self._route(speaker)
        if replica is None:
            return False
        try:
            replica.admit(speaker)
        except ServerFull:
            self._routing.over(speaker.name)
            return False
        return True

    def _come_back(self, speaker: Speaker) -> None:
        replica = self._route(speaker)
        if replica is None:
            self._at(self._now + 1.0, partial(self._come_back, speaker))
            return
        self._away -= 1
        replica.take(speaker)

    def _route(self, speaker: Speaker) -> Simulated | None:
        replicas = [*self._up.values()]
        if not replicas:
            return None
        replica = self._routing.choose(replicas, speaker.name, self._now)
        self._play(replica)
        return replica

    # --- replicas

    def _start(self, number: int) -> None:
        name, costs = self._name(), self._scenario.costs[number]
        replica: Simulated = (
            Replica(name, costs, self._settings, self._now) if self._scenario.engine else PlacesOnly(name, costs)
        )
        replica.say()
        self._up[number] = replica

    def _look(self) -> None:
        """Serve asks all replicas; those that are to go look whether they can."""
        self._at(self._now + SAID_SECONDS, self._look)
        for replica in self._all():
            self._play(replica)
            replica.say()
            self._outcome.fullest = max(self._outcome.fullest, replica.connections)
        if self._now >= SETTLING_SECONDS:
            self._inside.append(self._count_inside())
        free = sum(replica.said[FREE] for replica in self._up.values())  # each that leaves sees the same
        for number, (leaving, since) in [*self._leaving.items()]:
            if self._now - since >= LEAVING_SECONDS and free >= leaving.connections:
                del self._leaving[number]
                self._outcome.handed_over += self._move(leaving, HANDOVER_SECONDS)
                self._at(self._now + NEW_REPLICA_SECONDS, partial(self._replaced, number))

    def _kill(self) -> None:
        every = self._scenario.kill_every_seconds
        assert every is not None
        self._at(self._now + every, self._kill)
        if not self._up:
            return
        number = self._random.choice(sorted(self._up))
        replica = self._up.pop(number)
        self._play(replica)
        self._outcome.killed += 1
        self._outcome.cut += self._move(replica, DEATH_SECONDS)
        self._at(self._now + NEW_REPLICA_SECONDS, partial(self._start, number))

    def _update(self) -> None:
        """Tell as many replicas to go as Serve replaces at once."""
        for number in self._old[: max(1, int(AT_ONCE * len(self._scenario.costs)))]:
            self._old.remove(number)
            self._leaving[number] = self._up.pop(number), self._now

    def _replaced(self, number: int) -> None:
        self._start(number)
        if len(self._up) == len(self._scenario.costs):
            if self._old:
                self._update()
            else:
                self._outcome.updated_at = self._now - SETTLING_SECONDS

    def _move(self, replica: Simulated, seconds: float) -> int:
        speakers = replica.let_go()
        for speaker in speakers:
            self._routing.over(speaker.name)
            speaker.cut_at = None if speaker.stopped else self._now
            self._away += 1
            self._at(self._now + seconds, partial(self._come_back, speaker))
        return len(speakers)

    def _play(self, replica: Simulated) -> None:
        for speaker in replica.play(self._now):
            self._routing.over(speaker.name)
            self._outcome.finished += 1

    # --- its own

    def _count_inside(self) -> int:
        return sum(replica.connections for replica in self._all()) + self._away

    def _all(self) -> list[Simulated]:
        return [*self._up.values(), *(replica for replica, _ in self._leaving.values())]

    def _name(self) -> str:
        return str(next(self._numbers))

    def _next_gap(self) -> float:
        return self._random.expovariate(self._scenario.offered / MEAN_SECONDS)

    def _at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), event))


def refused_part(places: int, offered: float) -> float:
    """Erlang's formula B: the part of people who find all places taken, where any free place will do."""
    part = 1.0
    for place in range(1, places + 1):
        part = offered * part / (place + offered * part)
    return part


def most_offered(places: int, refused: float) -> float:
    """People at once of whom just so many are refused."""
    low, high = 0.0, 2.0 * places + 1.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        low, high = (middle, high) if refused_part(places, middle) <= refused else (low, middle)
    return low

"""The router's arithmetic, without Ray: places by what a replica has said and by what was sent there since."""

from __future__ import annotations

import time

from openmic.cluster.places import FREE, LOST_SECONDS, OPEN, SAID_SECONDS, UNKNOWN_FREE, FreePlaces


class Proxy(FreePlaces):
    """On a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 0.0
        super().__init__(lambda: self.now)


def said(free: int, inside: int) -> dict[str, int]:
    return {FREE: free, OPEN: inside}


def test_what_was_sent_since_a_replica_was_asked_takes_places() -> None:
    proxy = Proxy()
    proxy.sent("first", "a")
    proxy.sent("second", "a", arrived=True)
    assert proxy.free("a", said(free=4, inside=0)) == 2
    assert proxy.free("a", said(free=2, inside=2)) == 2  # it has counted them itself
    assert proxy.free("b", said(free=4, inside=0)) == 4


def test_a_connection_takes_one_place_however_often_it_is_told_of_and_none_once_it_is_over() -> None:
    proxy = Proxy()
    proxy.sent("one", "a")
    proxy.sent("one", "a", arrived=True)
    assert proxy.free("a", said(free=4, inside=0)) == 3
    proxy.sent("one", "b", arrived=True)  # it went elsewhere after all
    assert proxy.free("a", said(free=4, inside=0)) == 4
    proxy.over("one")
    proxy.over("one")
    assert proxy.free("b", said(free=4, inside=0)) == 4


def test_where_another_proxy_sends_people_too_the_latest_of_ones_own_count() -> None:
    proxy = Proxy()
    proxy.sent("long ago", "a", arrived=True)
    proxy.now = 60.0
    proxy.sent("just now", "a", arrived=True)
    assert proxy.free("a", said(free=9, inside=7)) == 8
    proxy.now += SAID_SECONDS
    assert proxy.free("a", said(free=9, inside=7)) == 9


def test_what_never_arrived_is_forgotten() -> None:
    proxy = Proxy()
    proxy.sent("lost", "a")
    proxy.sent("there", "a", arrived=True)
    proxy.now = LOST_SECONDS
    assert proxy.free("a", said(free=4, inside=0)) == 2
    proxy.now += 0.1
    assert proxy.free("a", said(free=4, inside=0)) == 3


def test_a_replica_that_has_said_nothing_yet_stands_between_a_full_one_and_one_with_a_place() -> None:
    proxy = Proxy()
    assert 0 < proxy.free("new", {}) == UNKNOWN_FREE < 1
    proxy.sent("one", "new")
    assert 0 < proxy.free("new", {}) < UNKNOWN_FREE


def test_what_a_question_costs_does_not_grow_with_the_connections_inside() -> None:
    proxy = Proxy()
    for number in range(20_000):
        proxy.sent(f"{number}", number % 64, arrived=True)
    proxy.now = 60.0
    began = time.process_time()
    for _ in range(10):
        assert {proxy.free(replica, said(free=9, inside=300)) for replica in range(64)} == {-4, -3}
    assert time.process_time() - began < 0.5  # looking at all of them takes some seconds

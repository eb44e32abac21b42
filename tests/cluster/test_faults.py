"""What replicas die of, or are stopped for, while people speak: no word is lost, none is told twice.

docs/cluster.md says how often each was tried.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import statistics
import time
from collections.abc import Awaitable, Callable

import pytest
import ray

from openmic.cluster.reports import Report
from tests.support.cluster_speakers import Speaker
from tests.support.scripted_cluster import PLACES
from tests.support.serve import ServedCluster

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.faults]

KILLS = int(os.environ.get("OPENMIC_TEST_KILLS", "4"))
LEASE_SECONDS = 2.0


def while_four_speak(
    cluster: ServedCluster, happens: Callable[[list[Speaker]], Awaitable[None]], speakers: int = PLACES
) -> list[Speaker]:
    """Four people speak while something happens, and a little longer; what each got is checked."""

    async def run() -> list[Speaker]:
        people = [Speaker(cluster.link, seed) for seed in range(speakers)]
        speaking = [asyncio.create_task(one.speak()) for one in people]
        await asyncio.gather(*(one.begun.wait() for one in people))
        await asyncio.sleep(1.5)
        await happens(people)
        await asyncio.sleep(1.5)
        for one in people:
            one.enough.set()
        async with asyncio.timeout(60):
            await asyncio.gather(*speaking)
        return people

    people = asyncio.run(run())
    for one in people:
        one.check()
    return people


def told(what: str, people: list[Speaker]) -> None:
    """Print how long live text stood still."""
    gaps = [gap for one in people for gap in one.gaps]
    if gaps:
        after = f"median {statistics.median(gaps):.1f} s, max {max(gaps):.1f} s"
        pause = max(one.longest_pause for one in people)
        lost = f"{len(gaps)} connections lost, longest pause {pause:.1f} s"
        print(f"{what}: live text goes on after {after} ({lost})")


def test_killed_while_four_speak(make_cluster: Callable[..., ServedCluster]) -> None:
    cluster = make_cluster(lease_seconds=LEASE_SECONDS)
    cluster.deploy(2)
    dice = random.Random(5)

    async def kills(people: list[Speaker]) -> None:
        for _ in range(KILLS):
            await asyncio.sleep(dice.random())
            cluster.kill(dice.choice(cluster.replicas()))
            await asyncio.sleep(1.0)
            await asyncio.to_thread(cluster.wait_for, 2)

    people = while_four_speak(cluster, kills)
    assert sum(len(one.gaps) for one in people) >= KILLS  # somebody was there each time
    told(f"{KILLS} times kill -9", people)


def test_one_that_stood_still_for_longer_than_its_lease(make_cluster: Callable[..., ServedCluster]) -> None:
    cluster = make_cluster(lease_seconds=LEASE_SECONDS)
    cluster.deploy(2)

    async def stands_still(people: list[Speaker]) -> None:
        still: Report = cluster.replicas()[0]
        cluster.kill(still, signal.SIGSTOP)
        try:
            await asyncio.sleep(6 * LEASE_SECONDS)
        finally:
            cluster.kill(still, signal.SIGCONT)
        await asyncio.sleep(5.0)

    told("SIGSTOP", while_four_speak(cluster, stands_still))


def test_a_rolling_update_cuts_nobody(make_cluster: Callable[..., ServedCluster]) -> None:
    cluster = make_cluster(lease_seconds=LEASE_SECONDS)
    cluster.deploy(2)
    before = {replica.pid for replica in cluster.replicas()}

    async def update(people: list[Speaker]) -> None:
        await asyncio.to_thread(cluster.deploy, 2, graceful_shutdown_timeout_s=120.0)

    began = time.monotonic()
    people = while_four_speak(cluster, update)
    assert not before & {replica.pid for replica in cluster.replicas()}
    lost = [one for one in people if one.gaps]
    assert lost  # they went elsewhere: nobody spoke to its end
    told(f"rolling update in {time.monotonic() - began:.0f} s", people)


def test_the_controller_is_killed(make_cluster: Callable[..., ServedCluster]) -> None:
    cluster = make_cluster(lease_seconds=LEASE_SECONDS)
    cluster.deploy(2)

    async def kill(people: list[Speaker]) -> None:
        ray.kill(ray.get_actor("SERVE_CONTROLLER_ACTOR", namespace="serve"), no_restart=False)
        await asyncio.sleep(8.0)

    people = while_four_speak(cluster, kill)
    assert not [one for one in people if one.gaps]  # nobody noticed
    cluster.wait_for(2)

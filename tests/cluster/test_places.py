"""Who comes goes where a place is free, whatever the replicas are like, and however many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import pytest

from openmic.errors import OpenmicError
from tests.support.client_audio import SECOND
from tests.support.scripted_cluster import PLACES, load_unlike
from tests.support.serve import ServedCluster, becomes, stream_to

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

GROWING = {
    "min_replicas": 1,
    "max_replicas": 2,
    "target_ongoing_requests": PLACES - 1,
    "upscale_delay_s": 0.5,
    "downscale_delay_s": 600.0,
    "look_back_period_s": 11.0,  # Serve wants it above an interval that the environment sets here
}


def test_a_full_replica_turns_nobody_away_while_another_has_a_place(make_cluster: Callable[..., ServedCluster]) -> None:
    cluster = make_cluster(load_unlike)  # one that carries one speaker, one that carries four
    cluster.deploy(2)

    async def run() -> None:
        async with AsyncExitStack() as inside:
            for _ in range(1 + PLACES):
                await inside.enter_async_context(stream_to(cluster))
            await asyncio.to_thread(becomes, cluster, "openmic_connections", [1, PLACES])
            with pytest.raises(OpenmicError, match="no room") as refused:
                await inside.enter_async_context(stream_to(cluster))
            assert refused.value.code == "server_full"

    asyncio.run(run())


def test_a_second_replica_takes_who_comes_while_the_first_is_full(make_cluster: Callable[..., ServedCluster]) -> None:
    cluster = make_cluster()
    cluster.deploy(1, autoscaling_config=GROWING)

    async def run() -> None:
        async with AsyncExitStack() as inside:
            first = [await inside.enter_async_context(stream_to(cluster)) for _ in range(PLACES)]
            with pytest.raises(OpenmicError, match="no room"):
                await inside.enter_async_context(stream_to(cluster))
            await asyncio.to_thread(cluster.wait_for, 2)
            more = [await inside.enter_async_context(stream_to(cluster)) for _ in range(PLACES)]
            await asyncio.to_thread(becomes, cluster, "openmic_connections", [PLACES, PLACES])
            for stream in (*first, *more):  # nobody was cut
                await stream.send(SECOND)
                await stream.stop()
                kinds = [message["type"] async for message in stream]
                assert kinds[-1] == "done"
                assert "connection" not in kinds

    asyncio.run(run())

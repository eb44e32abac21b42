"""Two replicas behind one address: whoever answers, it is one service."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from openmic.client import connect
from openmic.cluster.status import from_report, together
from openmic.errors import OpenmicError
from tests.support.client_audio import PCM, SECOND
from tests.support.scripted_cluster import PLACES
from tests.support.scripted_engine import scripted_server
from tests.support.serve import ServedCluster, becomes, stream_to
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def pair(serve_port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedCluster]:
    cluster = ServedCluster(tmp_path_factory.mktemp("pair"), serve_port)
    cluster.deploy(2)
    yield cluster
    cluster.end()


async def speak(link: str, seconds: int) -> dict[str, Any]:
    """What a client gets for so much sound: its commits and its final."""
    async with connect(link, **PCM) as stream:  # type: ignore[arg-type]
        for _ in range(seconds):
            await stream.send(SECOND)
        await stream.stop()
        messages = [message async for message in stream]
    commits = [message["text"] for message in messages if message["type"] == "commit"]
    (final,) = (message for message in messages if message["type"] == "final")
    return {"commits": commits, "final": final["text"]}


def test_sessions_are_spread_evenly_and_end_as_with_one_server(pair: ServedCluster, tmp_path: Path) -> None:
    async def all_of_them(link: str) -> list[dict[str, Any]]:
        return await asyncio.gather(*(speak(link, 3 + number) for number in range(2 * PLACES)))

    with scripted_server(tmp_path) as single:
        expected = asyncio.run(all_of_them(single.link))
    assert asyncio.run(all_of_them(pair.link)) == expected
    becomes(pair, "openmic_sessions_opened_total", [PLACES, PLACES])


def test_all_replicas_know_a_token_within_a_second(pair: ServedCluster) -> None:
    token, secret = pair.tokens.make("owner")

    def answers() -> Counter[int]:
        headers = {"Authorization": f"Bearer {secret}"}
        return Counter(httpx.get(f"{pair.url}/v1/sessions", headers=headers).status_code for _ in range(8))

    time.sleep(1)
    assert answers() == {200: 8}
    pair.tokens.revoke(token.id)
    time.sleep(1)
    assert answers() == {401: 8}


def test_a_revoked_token_ends_what_came_in_with_it_on_both(pair: ServedCluster) -> None:
    token, secret = pair.tokens.make("tester")
    ended = list[str]()
    time.sleep(1)  # until both know it

    async def one() -> None:
        try:
            async with connect(pair.url, secret, **PCM) as stream:  # type: ignore[arg-type]
                await stream.send(SECOND)
                async for _ in stream:
                    pass
        except OpenmicError as error:
            ended.append(error.code)

    async def run() -> None:
        speakers = [asyncio.create_task(one()) for _ in range(2)]
        await asyncio.to_thread(becomes, pair, "openmic_connections", [1, 1])
        await asyncio.to_thread(pair.tokens.revoke, token.id)
        async with asyncio.timeout(5):
            await asyncio.gather(*speakers)

    asyncio.run(run())
    assert ended == ["token_revoked"] * 2


def test_the_page_and_health_are_whoever_answers(pair: ServedCluster) -> None:
    for _ in range(6):
        assert "openmic" in httpx.get(pair.url).text
        assert httpx.get(f"{pair.url}/healthz").json()["status"] == "ok"


def test_the_dashboard_shows_all_of_them(pair: ServedCluster) -> None:
    async def run() -> None:
        async with AsyncExitStack() as inside:
            streams = [await inside.enter_async_context(stream_to(pair)) for _ in range(2)]
            for stream in streams:
                await stream.send(2 * SECOND)

            def seen() -> set[str]:
                told = [(report.replica, from_report(report.status)) for report in pair.replicas()]
                both = together(told, state="running", link="", tunnel="", speakers="")
                assert both.places == 2 * PLACES
                return {one.session_id for one in both.sessions if one.state == "receiving" and one.committed_text}

            await asyncio.to_thread(wait_until, lambda: seen() == {stream.session_id for stream in streams})

    asyncio.run(run())

from __future__ import annotations

import asyncio
import threading

from openmic.server.dialects.outbox import Outbox


def test_items_from_another_thread_arrive_in_order() -> None:
    async def run() -> list[int]:
        outbox: Outbox[int] = Outbox()
        threading.Thread(target=lambda: [outbox.put(number) for number in range(500)]).start()
        async with asyncio.timeout(20):
            return [await outbox.get() for _ in range(500)]

    assert asyncio.run(run()) == list(range(500))


def test_only_the_newest_of_a_kind_waits_and_at_its_own_place() -> None:
    async def run() -> list[str]:
        outbox: Outbox[str] = Outbox()
        outbox.put("live 1", "live")
        outbox.put("ack 1", "ack")
        outbox.put("commit 1")
        outbox.put("live 2", "live")
        outbox.put("commit 2")
        outbox.put("ack 2", "ack")
        async with asyncio.timeout(20):
            return [await outbox.get() for _ in range(4)]

    assert asyncio.run(run()) == ["commit 1", "live 2", "commit 2", "ack 2"]


def test_putting_after_the_end_is_harmless() -> None:
    async def run(close: bool) -> Outbox[str]:
        outbox: Outbox[str] = Outbox()
        if close:
            outbox.close()
        return outbox

    for close in (True, False):
        asyncio.run(run(close)).put("late")

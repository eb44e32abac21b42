"""What came and was not read."""

from __future__ import annotations

import asyncio

from openmic.client.inbox import Inbox


def test_an_unread_live_text_is_replaced_and_nothing_else() -> None:
    async def run() -> list[str]:
        inbox = Inbox()
        for kind, text in (
            ("live", "a"),
            ("live", "b"),
            ("commit", "c"),
            ("commit", "d"),
            ("live", "e"),
            ("progress", "f"),
            ("progress", "g"),
        ):
            await inbox.put({"type": kind, "text": text})
        inbox.close()
        return [message["text"] for message in [await inbox.get() for _ in range(5)] if message]

    assert asyncio.run(run()) == ["b", "c", "d", "e", "g"]

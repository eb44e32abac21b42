"""How fast one connection is read: a faster client is slowed by its socket, and nothing of it is dropped."""

from __future__ import annotations

import asyncio

BURST_SECONDS = 2.0  # a client may be ahead by so much: networks deliver in lumps


class RateLimit:
    """A token bucket over messages; used on the event loop only.

    Args:
        rate: messages a second, in the long run.
    """

    def __init__(self, rate: float) -> None:
        self._seconds = 1.0 / rate
        self._ahead = 0.0  # seconds' worth of messages read beyond the rate
        self._at = asyncio.get_running_loop().time()

    async def keep(self) -> None:
        """After one message: wait until another may be read."""
        now = asyncio.get_running_loop().time()
        self._ahead = max(0.0, self._ahead - (now - self._at)) + self._seconds
        self._at = now
        if self._ahead > BURST_SECONDS:
            await asyncio.sleep(self._ahead - BURST_SECONDS)

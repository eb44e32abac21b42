"""People who speak to a cluster in real time, and what they got in the end."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import numpy as np

from openmic.client import connect
from openmic.client.result import Message
from tests.support.client_audio import PCM
from tests.support.scripted_engine import spoken

PIECE_SECONDS = 0.1
BYTES_PER_SECOND = 32_000


def sound(seconds: float, seed: int) -> bytes:
    """Something that is not silence, and another for each speaker."""
    noise = np.random.default_rng(seed).normal(0, 300, round(16_000 * seconds))
    return (np.cumsum(noise) % 20_000 - 10_000).astype("<i2").tobytes()


class Speaker:
    """One who speaks until told to stop.

    Attributes:
        messages: all that came, in order.
        sent: bytes that were given to the client.
        gaps: seconds from each loss of the connection until live text or a commit came again.
        longest_pause: most seconds between two messages with live text or a commit.
    """

    def __init__(self, link: str, seed: int) -> None:
        self._link, self._seed = link, seed
        self.messages: list[Message] = []
        self.sent = 0
        self.gaps: list[float] = []
        self.longest_pause = 0.0
        self.session_id = ""
        self.begun = asyncio.Event()
        self.enough = asyncio.Event()

    async def speak(self) -> None:
        """Speak in real time, then stop and listen until the end."""
        async with connect(self._link, **PCM) as stream:  # type: ignore[arg-type]
            self.session_id = stream.session_id
            self.begun.set()
            listening = asyncio.create_task(self._listen(stream))
            piece, data = round(PIECE_SECONDS * BYTES_PER_SECOND), sound(600, self._seed)
            began = time.monotonic()
            while not (self.enough.is_set() and self.sent % BYTES_PER_SECOND == 0):
                await stream.send(data[self.sent : self.sent + piece])
                self.sent += piece
                await asyncio.sleep(max(0.0, began + self.sent / BYTES_PER_SECOND - time.monotonic()))
            await stream.stop()
            await listening

    async def _listen(self, stream: Any) -> None:
        lost_at: float | None = None
        heard_at = time.monotonic()
        async for message in stream:
            self.messages.append(message)
            if message["type"] == "connection" and message["state"] == "lost":
                lost_at = lost_at or time.monotonic()
            elif message["type"] in ("live", "commit"):
                now = time.monotonic()
                self.longest_pause, heard_at = max(self.longest_pause, now - heard_at), now
                if lost_at is not None:
                    self.gaps.append(now - lost_at)
                    lost_at = None

    @property
    def seconds(self) -> int:
        """How long it spoke."""
        return self.sent // BYTES_PER_SECOND

    def check(self) -> None:
        """As if nothing had happened: every word, none twice, none missing, and the final of all that was said."""
        counted = [message for message in self.messages if message["type"] in ("commit", "final", "done")]
        assert [message["seq"] for message in counted] == list(range(1, len(counted) + 1))
        assert [message["type"] for message in counted[-2:]] == ["final", "done"]
        words = "".join(message["text"] for message in counted[:-2]).split()
        assert words == [spoken(number) for number in range(1, self.seconds + 1)]
        assert counted[-2]["text"] == f" heard {self.seconds:.1f} seconds"

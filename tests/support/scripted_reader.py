"""A well-behaved client of the scripted engine, and what it must be told."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
from websockets.asyncio.client import connect

from tests.support.scripted_engine import ScriptedServer

PCM = {"type": "start", "encoding": "pcm_s16le", "sample_rate": 16_000}
SECOND = (np.sin(np.arange(16_000) / 10) * 8000).astype("<i2").tobytes()


async def reader(server: ScriptedServer, seconds: int = 10, pause: float = 0.0) -> list[dict[str, Any]]:
    """A client that reads everything, and lets ``pause`` seconds pass before it stops."""
    async with connect(
        server.stream_url, additional_headers=server.headers, max_size=None, proxy=None, open_timeout=120
    ) as one:
        await one.send(json.dumps(PCM))
        for _ in range(seconds):
            await one.send(SECOND)
        await asyncio.sleep(pause)
        await one.send('{"type": "stop"}')
        return [json.loads(message) async for message in one]


def check(told: list[dict[str, Any]], seconds: int = 10) -> None:
    """All that such a client must be told."""
    kinds = [message["type"] for message in told]
    assert kinds[0] == "ready"
    assert kinds[-2:] == ["final", "done"]
    assert [message["seq"] for message in told if message["type"] == "commit"] == list(range(1, seconds + 1))
    assert told[-2]["duration"] == float(seconds)

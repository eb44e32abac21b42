"""A client of the Realtime dialect that speaks plain JSON."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from websockets.sync.client import connect

from tests.support.conversation import Json, SocketConversation
from tests.support.scripted_engine import ScriptedServer
from tests.support.waiting import PATIENCE_SECONDS

RATE = 24_000
TEXT = "conversation.item.input_audio_transcription."


def tone(seconds: float, rate: int = RATE) -> bytes:
    return (np.sin(np.arange(round(rate * seconds)) / 10) * 8000).astype("<i2").tobytes()


def resampled(samples: np.ndarray[Any, Any], rate: int = RATE) -> bytes:
    """Float samples of 16 kHz as 16-bit ones of another rate."""
    times = np.arange(round(len(samples) * rate / 16_000)) / rate
    found = np.interp(times, np.arange(len(samples)) / 16_000, samples) * 32_767
    return bytes(found.astype("<i2"))


class RealtimeClient(SocketConversation):
    """One connection."""

    def say(self, kind: str, **fields: object) -> None:
        self.connection.send(json.dumps({"type": kind, **fields}))

    def update(self, **given: object) -> None:
        """Change ``audio.input``."""
        self.say("session.update", session={"type": "transcription", "audio": {"input": given}})

    def append(self, data: bytes) -> None:
        self.say("input_audio_buffer.append", audio=base64.b64encode(data).decode())

    def commit(self) -> None:
        self.say("input_audio_buffer.commit")

    def of(self, kind: str) -> list[Json]:
        return [told for told in self.messages if told["type"].endswith(kind)]

    @property
    def kinds(self) -> list[str]:
        return [told["type"] for told in self.messages]


@contextmanager
def realtime(
    server: ScriptedServer, *, token: str | None = "secret", query: str = "?intent=transcription", **options: Any
) -> Iterator[RealtimeClient]:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    headers |= options.pop("headers", {})
    address = server.stream_url.replace("/v1/stream", f"/v1/realtime{query}")
    with connect(
        address, additional_headers=headers, max_size=None, open_timeout=PATIENCE_SECONDS, **options
    ) as opened:
        yield RealtimeClient(opened)

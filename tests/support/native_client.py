"""A client of the native dialect, message by message."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from websockets.sync.client import connect

from tests.support.conversation import Json, SocketConversation
from tests.support.scripted_engine import ScriptedServer

WAIT = 120  # seconds; a generous deadline for everything that should happen at once
PCM = {"type": "start", "encoding": "pcm_s16le", "sample_rate": 16000}


def tone(seconds: float) -> bytes:
    return (np.sin(np.arange(round(16_000 * seconds)) / 10) * 8000).astype("<i2").tobytes()


class Client(SocketConversation):
    """One connection."""

    def say(self, **message: object) -> None:
        self.connection.send(json.dumps(message))

    def of(self, kind: str) -> list[Json]:
        return [message for message in self.messages if message["type"] == kind]


@contextmanager
def client(server: ScriptedServer, *, token: str | None = "secret", **options: Any) -> Iterator[Client]:
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    with connect(server.stream_url, additional_headers=headers, max_size=None, open_timeout=WAIT, **options) as opened:
        yield Client(opened)


@contextmanager
def started(server: ScriptedServer, **fields: object) -> Iterator[Client]:
    with client(server) as one:
        one.say(**PCM | fields)
        one.hear_until("ready")
        yield one


def key(one: Client) -> Json:
    """What a client needs to resume."""
    ready = one.of("ready")[0]
    return {"session_id": ready["session_id"], "resume_token": ready["resume_token"]}

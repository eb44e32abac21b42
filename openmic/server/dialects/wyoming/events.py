"""Wyoming's events on a stream: a line of JSON, then data and payload of the lengths that it names."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from openmic.server.problems import PROBLEMS

MOST_LINE_BYTES = 65_536  # also of an event's data
VERSION = "1.6.0"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its type, its data, its bytes."""

    type: str
    data: Json = field(default_factory=dict)
    payload: bytes = b""


async def read_event(reader: asyncio.StreamReader, max_payload_bytes: int) -> Event | None:
    """The next event; None at the end of the stream.

    Raises:
        OpenmicError: ``bad_json``, ``message_too_large``.
    """
    try:
        line = await reader.readline()
        if not line:
            return None
        head = _object(line)
        data_length, payload_length = _length(head, "data_length"), _length(head, "payload_length")
        if data_length > MOST_LINE_BYTES or payload_length > max_payload_bytes:
            size = max(data_length, payload_length)
            raise PROBLEMS.error("message_too_large", size=size, max_message_bytes=max_payload_bytes)
        data = head.get("data") or {}
        if data_length:
            data = {**data, **_object(await reader.readexactly(data_length))}
        payload = await reader.readexactly(payload_length) if payload_length else b""
    except asyncio.IncompleteReadError:
        return None
    except ValueError as error:  # a line without end
        raise PROBLEMS.error("message_too_large", size=MOST_LINE_BYTES, max_message_bytes=MOST_LINE_BYTES) from error
    return Event(str(head.get("type")), data, payload)


def to_bytes(event: Event) -> bytes:
    """An event without payload as it goes over the wire."""
    data = json.dumps(event.data, ensure_ascii=False).encode()
    head = {"type": event.type, "version": VERSION, "data_length": len(data)}
    return json.dumps(head).encode() + b"\n" + data


def _length(head: Json, name: str) -> int:
    value = head.get(name) or 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise PROBLEMS.error("bad_json")
    return value


def _object(text: bytes) -> Json:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PROBLEMS.error("bad_json") from error
    if not isinstance(value, dict) or not isinstance(value.get("data") or {}, dict):
        raise PROBLEMS.error("bad_json")
    return value

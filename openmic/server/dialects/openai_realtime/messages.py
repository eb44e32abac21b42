"""Realtime's JSON: messages as they come and go, and errors."""

from __future__ import annotations

import json
import secrets
from typing import Any

from openmic.errors import OpenmicError
from openmic.server.dialects.dialect import Frame
from openmic.server.dialects.vendor import POLICY, Json, json_object
from openmic.server.problems import PROBLEMS, BadField
from openmic.server.statuses import SENT, close_code

OPENAI_CODES = (1001, 1009, 1011, 1013)  # close codes that mean the same there


def event(kind: str, **fields: Any) -> Json:
    """A server event; each has a name of its own."""
    return {"type": kind, "event_id": f"event_{secrets.token_hex(10)}", **fields}


def to_text(message: Json) -> str:
    """A message as it goes over the wire."""
    return json.dumps(message, ensure_ascii=False)


def parse(frame: Frame) -> Json:
    """The message that a client sent.

    Raises:
        OpenmicError: ``bad_json``.
    """
    message = json_object(frame) if isinstance(frame, str) else None
    if message is None:
        raise PROBLEMS.error("bad_json")
    return message


def type_of(frame: Frame) -> object:
    """The type of a client's message; None where it has none, or is none."""
    try:
        return parse(frame).get("type")
    except OpenmicError:
        return None


def error_event(error: OpenmicError, client_event: object = None) -> Json:
    """A problem as a server event; ``client_event``: the name of the client's that it answers."""
    status = SENT[error.code].status
    told = {
        "type": "invalid_request_error" if status < 500 else "server_error",
        "code": error.code,
        "message": f"{error.message} {error.hint}",
        "param": error.param if isinstance(error, BadField) else None,
        "event_id": client_event if isinstance(client_event, str) else None,
    }
    return event("error", error=told)


def error_close_code(error: OpenmicError) -> int:
    """The close code behind a problem."""
    code = close_code(error.code)
    return code if code in OPENAI_CODES else POLICY

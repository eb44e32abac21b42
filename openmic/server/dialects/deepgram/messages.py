"""Deepgram's JSON: words, alternatives, the model, errors."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from starlette.responses import JSONResponse

from openmic.errors import OpenmicError
from openmic.server.dialects.turns import text_of
from openmic.server.dialects.vendor import Json, refusal_headers
from openmic.server.statuses import SENT
from openmic.sessions.session import Session
from openmic.sessions.types import Word

AROUND = re.compile(r"^\W+|\W+$")
ERR_CODES = {401: "INVALID_AUTH", 403: "INSUFFICIENT_PERMISSIONS", 413: "PAYLOAD_TOO_LARGE", 429: "TOO_MANY_REQUESTS"}
CLOSE_CODES = {"audio_not_decodable": 1008, "audio_track_missing": 1008, "audio_empty": 1008, "idle_too_long": 1011}
REASONS = {"idle_too_long": "NET-0001"}
REASONS_BY_CLOSE_CODE = {1008: "DATA-0000", 1011: "NET-0000"}
ARCHITECTURE = "whisper"


def plain(word: str) -> str:
    """A word in lower case without the punctuation around it."""
    return AROUND.sub("", word).lower() or word.strip()


def word_json(word: Word, **more: object) -> Json:
    """One word as v1 has it; times in seconds."""
    return {
        "word": plain(word.word),
        "start": round(word.start, 3),
        "end": round(word.end, 3),
        "confidence": round(word.probability, 4),
        "punctuated_word": word.word.strip(),
        **more,
    }


def confidence(words: Sequence[Word]) -> float:
    """The mean probability of the words; 0 without any."""
    return round(sum(word.probability for word in words) / len(words), 4) if words else 0.0


def alternative(words: Sequence[Word], **more: object) -> Json:
    """The words as v1's one alternative."""
    return {
        "transcript": text_of(words),
        "confidence": confidence(words),
        "words": [word_json(word) for word in words],
        **more,
    }


def model_uuid(name: str) -> str:
    """A UUID that is always the same for a model's name."""
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"openmic.{name}"))


def model_info(name: str) -> Json:
    """The model that runs here, whatever the client asked for."""
    return {"name": name, "version": "1", "arch": ARCHITECTURE}


def session_fields(session: Session) -> Json:
    """What Deepgram's metadata say of a session."""
    return {
        "transaction_key": "deprecated",
        "request_id": session.id,
        "sha256": hashlib.sha256(session.id.encode()).hexdigest(),
        "created": datetime.fromtimestamp(session.created, UTC).isoformat(timespec="milliseconds"),
    }


def to_text(message: Json) -> str:
    """A message as it goes over the wire."""
    return json.dumps(message, ensure_ascii=False, separators=(",", ":"))


def denial(error: OpenmicError) -> JSONResponse:
    """A problem as Deepgram's HTTP answer."""
    status = SENT[error.code].status
    request_id = str(uuid.uuid4())
    described = f"{error.message} {error.hint}"
    headers = refusal_headers(error) | {
        "dg-request-id": request_id,
        "dg-error": described.encode("ascii", "replace").decode(),
    }
    code = ERR_CODES.get(status, error.code.upper())
    return JSONResponse({"err_code": code, "err_msg": described, "request_id": request_id}, status, headers)


def close_reason(error: OpenmicError, code: int) -> str:
    """What Deepgram writes behind a close code."""
    return REASONS.get(error.code) or REASONS_BY_CLOSE_CODE.get(code, error.code)


def error_message(error: OpenmicError, variant: str) -> Json:
    """A problem as a message of a stream."""
    return {
        "type": "Error",
        "variant": variant,
        "description": f"{error.message} {error.hint}",
        "message": error.code,
        "code": error.code.upper(),
    }

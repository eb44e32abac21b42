"""What the adapters for vendors' SDKs have in common: their JSON, the end of a connection, the final of a session."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from openmic.errors import OpenmicError
from openmic.server.dialects.dialect import Frame
from openmic.server.statuses import error_response
from openmic.sessions.events import Ended, Failed, Finalised, Replaced
from openmic.sessions.schemas import MOST_PROMPT_LETTERS, MOST_TERM_LETTERS, MOST_TERMS
from openmic.sessions.session import Session
from openmic.sessions.types import Term
from openmic.settings import Settings

DONE = 1000
GOING_AWAY = 1001
POLICY = 1008
MOST_TEXT_LETTERS = 100_000  # of the final in one message: clients take up to a mebibyte

HALF_CHARACTER = re.compile(r"\\ud[89a-f]", re.IGNORECASE)  # also of what has both halves

Json = dict[str, Any]


def json_object(frame: Frame) -> Json | None:
    """The object in a frame; None where it holds anything else.

    JSON can name halves of a character (D800 to DFFF) that no UTF-8 has: they are question marks here, as what a client
    says is told back to it, and written down.
    """
    frame = frame if isinstance(frame, str) else frame.decode(errors="replace")
    try:
        message = json.loads(frame)
        if HALF_CHARACTER.search(frame):
            message = json.loads(json.dumps(message, ensure_ascii=False).encode(errors="replace"))
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def finite(value: object) -> float | None:
    """A number of a vendor's JSON; None where it is none, which ``NaN``, ``Infinity`` and booleans are not either."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer of hundreds of digits
        return None


def endpoint_silence(longest_seconds: float | None, settings: Settings) -> float | None:
    """The silence that ends an utterance, where a vendor's parameter is the longest that theirs waits, in seconds.

    Theirs ends most utterances sooner, by what was said. So does the server's own silence, where it is shorter.
    """
    return None if longest_seconds is None else min(longest_seconds, settings.endpoint_silence_seconds)


def to_terms(terms: Iterable[object]) -> tuple[Term, ...]:
    """A vendor's list of words to listen for, as the engine takes it; of too many the last ones."""
    texts = [term.strip()[:MOST_TERM_LETTERS] for term in terms if isinstance(term, str) and term.strip()]
    return tuple(Term(text) for text in texts[-MOST_TERMS:])


def to_prompt(text: object) -> str | None:
    """A vendor's text that came before, of which Whisper reads the end."""
    return text[-MOST_PROMPT_LETTERS:] or None if isinstance(text, str) else None


def last_close_code(last: Ended | Failed | Replaced, of_error: Callable[[OpenmicError], int]) -> int:
    """The close code behind a session's last event; ``of_error``: the vendor's for an error."""
    match last:
        case Ended(_, reason):
            return GOING_AWAY if reason == "shutdown" else DONE
        case Failed(error):
            return of_error(error)
        case Replaced():
            return GOING_AWAY


def refusal_headers(error: OpenmicError) -> dict[str, str]:
    """The headers of a refusal in a vendor's JSON: those of openmic's own that concern time."""
    ours = error_response(error).headers
    return {name: ours[name] for name in ("cache-control", "retry-after") if name in ours}


def final_fields(session: Session, final: Finalised | None) -> Json:
    """What a vendor's last message says in its field ``openmic``: where the final is, and its text if it is there."""
    fields: Json = {"session_id": session.id, "resume_token": session.resume_token}
    if final is not None:
        fields["language"] = final.final.language
        if len(final.final.text) <= MOST_TEXT_LETTERS:
            fields["text"] = final.final.text.strip()
    return fields

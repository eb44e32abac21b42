"""Deepgram's ``Configure``: another list of terms, and other thresholds, in the middle of a stream.

https://developers.deepgram.com/docs/configure and https://developers.deepgram.com/docs/flux/configure. It is done as a
whole or not at all, and each is answered.
"""

from __future__ import annotations

from openmic.server.dialects.vendor import Json, finite
from openmic.sessions.schemas import MOST_TERM_LETTERS, MOST_TERMS
from openmic.sessions.types import Term

THRESHOLDS = ("eot_threshold", "eager_eot_threshold", "eot_timeout_ms")  # Flux's; only the last changes anything


class NotConfigured(Exception):
    """Nothing is changed.

    Attributes:
        answer: the ``ConfigureFailure``.
    """

    def __init__(self, code: str, description: str) -> None:
        super().__init__(code)
        self.answer: Json = {"type": "ConfigureFailure", "code": code, "description": description}


def read_keyterms(message: Json) -> tuple[Term, ...] | None:
    """The terms in the place of all before; none of them: an empty list. None: as before.

    Raises:
        NotConfigured: they are no list of texts, or too many.
    """
    given = message.get("keyterms")
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(term, str) and term.strip() for term in given):
        raise NotConfigured("CONFIGURE_KEYTERMS_INVALID", "`keyterms` is a list of texts.")
    if len(given) > MOST_TERMS or any(len(term.strip()) > MOST_TERM_LETTERS for term in given):
        limit = f"At most {MOST_TERMS} terms of {MOST_TERM_LETTERS} letters each."
        raise NotConfigured("CONFIGURE_KEYTERM_LIMIT_EXCEEDED", limit)
    return tuple(Term(term.strip()) for term in given)


def read_thresholds(message: Json) -> dict[str, float]:
    """Those of Flux's thresholds that are named.

    Raises:
        NotConfigured: one is no number.
    """
    given = message.get("thresholds") or {}
    found: dict[str, float] = {}
    for name in THRESHOLDS:
        value = given.get(name) if isinstance(given, dict) else given
        if value is not None:
            number = finite(value)
            if number is None:
                raise NotConfigured("CONFIGURE_THRESHOLDS_INVALID", f"`{name}` is a number.")
            found[name] = int(number) if number == int(number) else number
    return found

"""What a session is made with, and where it stands."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, replace

from openmic.settings import Settings
from openmic.speech.languages import language_code
from openmic.speech.types import SpeechOptions, Term

BYTES_PER_SECOND = 384_000  # the most that audio needs: 48 kHz, stereo, float32
SPARE_BYTES = 1_048_576  # for headers and pictures in a container


ENDPOINT_SILENCE_SECONDS = (0.3, 5.0)
"""The least and the most silence that a client may have end an utterance: less cuts sentences, which Whisper needs."""


def clamp_endpoint_silence(seconds: float) -> float:
    """The silence nearest to ``seconds`` that a client may ask for."""
    least, most = ENDPOINT_SILENCE_SECONDS
    return min(max(seconds, least), most)


def with_defaults(options: SpeechOptions, settings: Settings) -> SpeechOptions:
    """What a client asked for, and the settings' language, prompt and vocabulary where it named none.

    Raises:
        OpenmicError: ``unknown_language``.
    """
    return replace(
        options,
        language=language_code(options.language or settings.language),
        prompt=options.prompt if options.prompt is not None else settings.prompt or None,
        vocabulary=options.vocabulary or parse_terms(settings.vocabulary),
    )


def parse_terms(text: str) -> tuple[Term, ...]:
    """The terms in a text, between commas, semicolons and ends of lines."""
    return tuple(Term(term.strip()) for term in re.split(r"[,;\n]", text) if term.strip())


class State(enum.Enum):
    """Where a session stands in its life."""

    RECEIVING = "receiving"
    FINISHING = "finishing"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one session may use: seconds of audio, bytes in its journal; and the silence that ends an utterance."""

    max_seconds: float
    max_bytes: int
    endpoint_silence_seconds: float

    @classmethod
    def of(cls, settings: Settings, endpoint_silence_seconds: float | None = None) -> Limits:
        """What each session of a server may use; None: the silence is the settings'."""
        seconds = settings.max_seconds
        if endpoint_silence_seconds is None:
            endpoint_silence_seconds = settings.endpoint_silence_seconds
        return cls(seconds, int(seconds * BYTES_PER_SECOND) + SPARE_BYTES, endpoint_silence_seconds)

"""The events of a session, in the order in which its client gets them.

Commits, the final and the end are counted (``seq``) and can be told again; the others are told once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from openmic.audio.types import SpeechBoundary
from openmic.errors import OpenmicError
from openmic.sessions.text.revisions import Revision
from openmic.speech.types import CommittedText, FinalProgress, FinalText, LiveText, UtteranceOver

Reason = Literal["stopped", "timeout", "shutdown"]


@dataclass(frozen=True, slots=True)
class SpeechChanged:
    """Speech began or ended."""

    boundary: SpeechBoundary


@dataclass(frozen=True, slots=True)
class Live:
    """The unstable tail; ``seq`` is that of the last counted event before it."""

    seq: int
    live: LiveText


@dataclass(frozen=True, slots=True)
class Committed:
    """Words to append; counted."""

    seq: int
    committed: CommittedText


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far the final pass is; ``finishing``: no more audio is taken, so that its total hardly grows any more."""

    progress: FinalProgress
    finishing: bool


@dataclass(frozen=True, slots=True)
class Finalised:
    """The whole recording's text, what the live pass had promised, and where the two differ; counted."""

    seq: int
    final: FinalText
    live_text: str
    revised: tuple[Revision, ...] = ()


@dataclass(frozen=True, slots=True)
class Warned:
    """Something to know about; the session goes on as it would."""

    error: OpenmicError


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over; counted, and the last event of a session that went well."""

    seq: int
    reason: Reason
    audio_seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The session is over; the last event of one that did not go well. What could be saved came before it."""

    error: OpenmicError


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another subscriber has attached; this one hears nothing more."""


@dataclass(frozen=True, slots=True)
class UtteranceEnded:
    """All words of an utterance are committed; ``over`` says why it ended. Told behind its last ``Committed``."""

    over: UtteranceOver


CountedEvent = Committed | Finalised | Ended
SessionEvent = (
    SpeechChanged | Live | Committed | UtteranceEnded | Progressed | Finalised | Warned | Ended | Failed | Replaced
)
Subscriber = Callable[[SessionEvent], None]
"""Called from the session's threads with its lock held; must return at once, raise nothing and not call back."""

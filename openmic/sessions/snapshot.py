"""A session as others see it at one moment."""

from __future__ import annotations

from dataclasses import dataclass

from openmic.errors import OpenmicError
from openmic.sessions.events import Reason
from openmic.sessions.state import State
from openmic.sessions.text.revisions import Revision
from openmic.speech.types import FinalText


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """A session at one moment, for lists and dashboards; see ``Session`` for the words' meaning."""

    id: str
    state: State
    attached: bool
    created: float  # seconds since 1970
    received_bytes: int
    audio_seconds: float
    lag: float  # seconds of audio that the last live text did not know yet
    committed_text: str
    live_text: str
    final: FinalText | None
    revised: tuple[Revision, ...]  # what the final changed of the committed words
    reason: Reason | None
    error: OpenmicError | None
    holder: str | None = None  # the other process that has it; None: this one
    holder_silent: bool = False  # whether that has been silent for longer than its leases last, or has died

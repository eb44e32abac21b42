"""What a session is made with, and where it stands."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path


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


@dataclass(frozen=True, slots=True)
class Identity:
    """A session's public name, the secret that resumes it, and its folder on disk."""

    id: str
    resume_token: str
    folder: Path

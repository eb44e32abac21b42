"""What a final pass carries from window to window."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from openmic.speech.types import Segment


@dataclass(slots=True)
class WalkState:
    """How far a walk has come; with the recording it is all that a walk needs to go on.

    Attributes:
        seek: mel frames walked so far.
        language: of the transcript, once it is known; empty before.
        window_language: of the latest window.
        tokens: of the text so far.
        prompt: tokens of the text before the next window.
        segments: so far.
        loudest: log10 mel power, the maximum so far.
        last_speech_seconds: where the latest word ended; None before the first.
        last_word_seconds: where the latest word ended, as it was placed in the transcript.
        in_silence: whether ``seek`` was moved over a long silence and speech has not come since.
    """

    seek: int = 0
    language: str = ""
    window_language: str = ""
    tokens: list[int] = field(default_factory=list)
    prompt: list[int] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    loudest: float = -10.0
    last_speech_seconds: float | None = None
    last_word_seconds: float = 0.0
    in_silence: bool = False

    def copy(self) -> WalkState:
        """One that goes its own way."""
        return replace(self, tokens=list(self.tokens), prompt=list(self.prompt), segments=list(self.segments))

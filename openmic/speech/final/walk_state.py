"""What a final pass carries from window to window."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from openmic.speech.types import FinalWindow, Segment


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
        windows: how many windows were walked.
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
    windows: int = 0

    def copy(self) -> WalkState:
        """One that goes its own way."""
        return replace(self, tokens=list(self.tokens), prompt=list(self.prompt), segments=list(self.segments))

    def since(self, segments: int, model: str) -> FinalWindow:
        """This state as it is told, to be gone on from.

        Args:
            segments: how many of them were told before.
            model: the name of the one that runs.
        """
        return FinalWindow(
            model=model,
            segments=tuple(self.segments[segments:]),
            segments_before=segments,
            seek=self.seek,
            language=self.language,
            window_language=self.window_language,
            prompt=tuple(self.prompt),
            loudest=self.loudest,
            last_speech_seconds=self.last_speech_seconds,
            last_word_seconds=self.last_word_seconds,
            in_silence=self.in_silence,
        )

    @classmethod
    def after(cls, windows: Iterable[FinalWindow], model: str) -> WalkState:
        """The state behind all that was told, as far as ``model`` walked it and nothing of it is missing."""
        state = cls()
        for window in windows:
            if window.model != model:
                continue
            if window.segments_before == 0:
                state = cls()  # a pass that began anew
            if window.segments_before != len(state.segments):
                break
            state.segments.extend(window.segments)
            state.tokens.extend(token for segment in window.segments for token in segment.tokens)
            state.prompt = list(window.prompt)
            state.seek, state.in_silence = window.seek, window.in_silence
            state.language, state.window_language = window.language, window.window_language
            state.loudest = window.loudest
            state.last_speech_seconds = window.last_speech_seconds
            state.last_word_seconds = window.last_word_seconds
        return state

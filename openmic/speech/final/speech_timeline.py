"""Where in a recording somebody speaks, as voice activity tells it while the recording grows.

The final pass looks only at regions of speech: what lies between them is neither encoded nor written down, so nothing
can be invented there. Whisper itself writes words where there are none, in noise and music above all (Koenecke et
al., "Careless Whisper", 2024); telling it where to listen is what WhisperX does for whole files (Bain et al., 2023).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whisper.timing import WordTiming

from openmic.audio.types import SpeechBoundary

PAUSE_SECONDS = 4.0  # a longer one parts two regions; speakers' pauses are shorter, and Whisper hears them as such
PAD_SECONDS = 0.3  # around speech, in which a word still counts as spoken


@dataclass(frozen=True, slots=True)
class SpeechRegion:
    """Speech with no pause of more than ``PAUSE_SECONDS`` in it.

    Attributes:
        start, end: seconds.
        over: it has ended: what follows is a long pause, or the recording's end.
    """

    start: float
    end: float
    over: bool


class SpeechTimeline:
    """The speech of one recording. One thread adds boundaries, another asks; without any, all of it is speech."""

    def __init__(self) -> None:
        self._pending: deque[tuple[Sequence[SpeechBoundary], float]] = deque()
        self._spans: list[tuple[float, float]] = []  # the last one may have no end yet
        self.known_until_seconds: float | None = None  # seconds up to which it is known; None: nothing was ever told

    def copy(self) -> SpeechTimeline:
        """What is known by now."""
        self._take_in()
        other = SpeechTimeline()
        other._spans, other.known_until_seconds = list(self._spans), self.known_until_seconds
        return other

    def add_boundaries(self, boundaries: Sequence[SpeechBoundary], seconds: float) -> None:
        """Take in what starts and ends in the newest part of the recording, which is ``seconds`` long by now."""
        self._pending.append((tuple(boundaries), seconds))

    def region(self, after: float, ended: bool) -> SpeechRegion | None:
        """The first region that ends behind ``after``; None where there is none yet.

        Args:
            after: seconds.
            ended: the recording does not grow any more.
        """
        self._take_in()
        if self.known_until_seconds is None:
            return SpeechRegion(0.0, math.inf, False)
        found: tuple[float, float] | None = None
        for start, end in self._spans:
            if found is not None and start - found[1] > PAUSE_SECONDS:
                return SpeechRegion(*found, True)
            if found is not None:
                found = found[0], end
            elif end > after:
                found = start, end
        if found is None:
            return None
        return SpeechRegion(*found, ended or self.known_until_seconds - found[1] > PAUSE_SECONDS)

    def has_speech(self, start: float, end: float) -> bool:
        """Whether somebody speaks between ``start`` and ``end``, or close by."""
        self._take_in()
        if self.known_until_seconds is None or end + PAD_SECONDS > self.known_until_seconds:
            return True
        return any(begin < end + PAD_SECONDS and start - PAD_SECONDS < stop for begin, stop in self._spans)

    def spans(self, start: float, end: float) -> list[tuple[float, float]]:
        """From when to when somebody speaks between ``start`` and ``end``; nothing where nothing was ever told."""
        self._take_in()
        end = min(end, self.known_until_seconds or 0.0)
        shared = [(max(start, begin), min(end, stop)) for begin, stop in self._spans]
        return [(begin, stop) for begin, stop in shared if begin < stop]

    def speech_seconds(self, start: float, end: float) -> float:
        """How long somebody speaks between ``start`` and ``end``; 0 where nothing was ever told."""
        return sum(stop - begin for begin, stop in self.spans(start, end))

    def within(self, start: float, end: float) -> tuple[float, float]:
        """The part of a word's span in which somebody speaks; all of it where nobody does."""
        self._take_in()
        shared = [(max(start, begin), min(end, stop)) for begin, stop in self._spans if begin < end and start < stop]
        return max(shared, key=lambda span: span[1] - span[0], default=(start, end))

    def place(self, words: Iterable[WordTiming], after: float, until: float) -> float:
        """Move words to where somebody speaks, one after another, from ``after`` to ``until``, in seconds.

        Returns:
            Where the last of them ends now; ``after`` where there is none.
        """
        for word in words:
            start, end = self.within(word.start, word.end)
            word.start = round(min(max(start, after), until), 2)
            word.end = after = round(min(max(end, word.start), until), 2)
        return after

    def forget(self, before: float) -> None:
        """Nothing will be asked about what ended earlier than ``before``, in seconds."""
        while self._spans and self._spans[0][1] < before - PAUSE_SECONDS:
            del self._spans[0]

    def _take_in(self) -> None:
        while self._pending:
            boundaries, self.known_until_seconds = self._pending.popleft()
            for boundary in boundaries:
                if boundary.state == "started":
                    self._spans.append((boundary.at, math.inf))
                elif self._spans:
                    self._spans[-1] = (self._spans[-1][0], boundary.at)

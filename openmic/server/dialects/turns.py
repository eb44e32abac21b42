"""A speaker's turn as words that stay and words that may still change, for dialects that tell turns and not results."""

from __future__ import annotations

from collections.abc import Sequence

from openmic.sessions.types import CommittedText, LiveText, Word


class Turn:
    """What was said since the last end of an utterance.

    Attributes:
        index: of this turn, from 0.
        words: that are committed.
        tail: that may still change.
        language: of what was said, once it is known.
        transcribed_seconds: how much audio these words cover.
    """

    def __init__(self) -> None:
        self.index = 0
        self.words: list[Word] = []
        self.tail: tuple[Word, ...] = ()
        self.language: str | None = None
        self.transcribed_seconds = 0.0

    @property
    def text(self) -> str:
        """The committed words, without spaces around them."""
        return text_of(self.words)

    def show(self, live: LiveText) -> None:
        """Replace the tail."""
        self.tail = live.words
        self.language = live.language or self.language
        self.transcribed_seconds = max(self.transcribed_seconds, live.audio_seconds)

    def commit(self, committed: CommittedText) -> None:
        """Take words over from the tail."""
        self.words += committed.words
        self.tail = tuple(word for word in self.tail if word.start >= committed.end)
        self.language = committed.language or self.language
        self.transcribed_seconds = max(self.transcribed_seconds, committed.end)

    def next(self) -> None:
        """The turn is over; its tail, if one is left, is that of the next one."""
        self.index += 1
        self.words = []


def text_of(words: Sequence[Word]) -> str:
    """The words as text, without spaces around it."""
    return "".join(word.word for word in words).strip()


def milliseconds(seconds: float) -> int:
    """A time as dialects without fractions have it."""
    return round(seconds * 1000)

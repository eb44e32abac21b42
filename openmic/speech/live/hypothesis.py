"""What a live step takes and gives: one stream's window, and the words that the model hears in it."""

from __future__ import annotations

from dataclasses import dataclass, field

from openmic.audio.types import Samples
from openmic.speech.live.language import LanguageEvidence
from openmic.speech.model.encoder import EncoderCache
from openmic.speech.types import Task


@dataclass(frozen=True, slots=True)
class TimedWord:
    """A word of a hypothesis with the punctuation behind it.

    Attributes:
        text: as it is shown, with its leading space and its ``mark``.
        tokens: of ``text``; the last ``mark_tokens`` of them are the mark's.
        start, end: seconds on the stream's clock.
        probability: 0..1.
        mark: punctuation behind the word, often none.
        mark_tokens: how many tokens it has.
    """

    text: str
    tokens: tuple[int, ...]
    start: float
    end: float
    probability: float
    mark: str = ""
    mark_tokens: int = 0

    def parted(self) -> tuple[TimedWord, TimedWord]:
        """The word alone, and its mark as a word of its own at its end."""
        stem = self.text[: len(self.text) - len(self.mark)]
        place = len(self.tokens) - self.mark_tokens
        return (
            TimedWord(stem, self.tokens[:place], self.start, self.end, self.probability),
            TimedWord(self.mark, self.tokens[place:], self.end, self.end, self.probability),
        )


@dataclass(slots=True)
class StepCache:
    """What a step leaves for the next one of the same window, so that it pays for what is new.

    Attributes:
        settled: states that are not encoded again.
        language_known: nobody needs to look again in which language this window is.
    """

    settled: EncoderCache = field(default_factory=EncoderCache)
    language_known: bool = False

    def clear(self) -> None:
        """The window begins elsewhere now."""
        self.settled.clear()
        self.language_known = False


@dataclass(frozen=True, slots=True)
class StepInput:
    """What one stream wants decoded.

    Attributes:
        samples: its window, shape (n,), float32.
        start: seconds on the stream's clock at which the window begins.
        language: ISO 639-1, or None to detect it.
        task: transcribe or translate.
        languages: what the windows before were in, where it is detected; takes in what this one is. None: this window
            is asked alone.
        context: tokens said before the window, as a text prompt,
        context_language: and what they are in: a window in another language is decoded without them. None: not known.
        prefix: tokens committed inside the window.
        draft: tokens that the previous hypothesis had after them.
        memory: of this window, from step to step; None: work everything out.
    """

    samples: Samples
    start: float
    language: str | None
    task: Task
    context: tuple[int, ...] = ()
    prefix: tuple[int, ...] = ()
    draft: tuple[int, ...] = ()
    memory: StepCache | None = None
    languages: LanguageEvidence | None = None
    context_language: str | None = None


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What the model hears after the prefix.

    Attributes:
        words: the new words.
        language: given or detected.
        no_speech_prob: of the window, 0..1.
        avg_logprob: mean log-probability of the new tokens and the end token.
        looped: the decoder repeated itself and was cut short.
    """

    words: tuple[TimedWord, ...]
    language: str
    no_speech_prob: float
    avg_logprob: float
    looped: bool

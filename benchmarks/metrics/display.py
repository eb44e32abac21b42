"""The definitions: what a reader saw, and how late, how restless and how wrong it was.

Time 0 is when the first sample was spoken; audio is fed at the speed of speech. The *display* at a moment is all
commits and the last live text.

- first-seen delay of a word: when it first shows, minus when it ended in the audio;
- stable delay of a word: the earliest moment from which the display's words through that word never change again,
  minus when it ended in the audio;
- flicker: displayed words that were later changed or taken away, over all words;
- live WER: of the display at the end of the audio; final WER: of the final text (Whisper's normaliser, jiwer);
- missing: words of the reference that the last display does not have; they have no stable delay;
- dropped: those of them that stand in a row of ``DROPPED_RUN`` or more: speech left out, not words misheard.

Displayed words are matched with the reference's by sequence alignment, lower case, no punctuation.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby, pairwise

import jiwer
import numpy as np
from whisper.normalizers import BasicTextNormalizer, EnglishTextNormalizer

from benchmarks.corpus.words import SpokenWord, words

DROPPED_RUN = 4
FRAME_SECONDS = 0.05  # what is replaced sooner was never on the screen: a commit and the live text sent with it are one


@dataclass(frozen=True, slots=True)
class Shown:
    """The display's text and from when on, in seconds."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Delay:
    """Of many words, in seconds."""

    median: float
    p90: float
    max: float

    @classmethod
    def of(cls, delays: Sequence[float]) -> Delay | None:
        """None where there are no words."""
        if not delays:
            return None
        return cls(float(np.median(delays)), float(np.percentile(delays, 90)), float(max(delays)))

    def __str__(self) -> str:
        return f"{self.median:.2f} / {self.p90:.2f} / {self.max:.2f}"


@dataclass(frozen=True, slots=True)
class Measured:
    """One stream's figures.

    Attributes:
        words: of the reference.
        first_seen, stable: delays; None where no word was shown.
        missing: words of the reference that the last display does not have.
        gaps: where words in a row miss: when the first of them ended, and the words.
        flicker: a fraction.
        live_wer: a fraction.
        first_seen_delays: of every word shown.
        stable_by_word: (when the word ended, its stable delay), for plots.
    """

    words: int
    first_seen: Delay | None
    stable: Delay | None
    missing: int
    gaps: tuple[tuple[float, str], ...]
    flicker: float
    live_wer: float
    first_seen_delays: tuple[float, ...]
    stable_by_word: tuple[tuple[float, float], ...]

    @property
    def dropped(self) -> int:
        """The missing words that miss their neighbours too."""
        return sum(len(text.split()) for _, text in self.gaps)


class Display:
    """Collects what a reader sees."""

    def __init__(self) -> None:
        self.history: list[Shown] = []
        self._committed = ""
        self._live = ""

    def commit(self, at: float, text: str) -> None:
        """Words that stay; the live text that they come out of is over."""
        self._committed += text
        self._live = ""
        self._show(at)

    def live(self, at: float, text: str) -> None:
        """The unstable tail, in place of the one before."""
        self._live = text
        self._show(at)

    def replace(self, at: float, text: str) -> None:
        """The whole display at once, for servers that send it so."""
        self._committed, self._live = "", text
        self._show(at)

    @property
    def text(self) -> str:
        """The display now."""
        return self._committed + self._live

    def _show(self, at: float) -> None:
        self.history.append(Shown(at, self.text))


def measure(
    history: Sequence[Shown], reference: Sequence[SpokenWord], text: str, end: float, language: str = "en"
) -> Measured:
    """Measure one stream.

    Args:
        history: its displays, in order.
        reference: the words spoken, with their ends.
        text: the same as text, for the WER.
        end: when the audio ended, in seconds.
        language: of the text (ISO 639-1), "" where it has several.
    """
    seen = settled(history)
    displays = [words(shown.text) for shown in seen]
    times = [shown.at for shown in seen]
    spoken = [word.text for word in reference]
    first = first_seen(displays, times, spoken)
    stable = stable_times(displays, times)
    matches = Matcher(spoken).match(displays[-1]) if displays else []
    seen_delays = tuple(first[r] - reference[r].end for r in sorted(first))
    by_word = tuple((reference[r].end, stable[d] - reference[r].end) for d, r in matches)
    at_end = next((shown.text for shown in reversed(seen) if shown.at <= end), "")
    return Measured(
        words=len(spoken),
        first_seen=Delay.of(seen_delays),
        stable=Delay.of([delay for _, delay in by_word]),
        missing=len(spoken) - len(matches),
        gaps=gaps({place for _, place in matches}, reference),
        flicker=changed_words(displays) / max(1, len(spoken)),
        live_wer=word_error_rate(text, at_end, language),
        first_seen_delays=seen_delays,
        stable_by_word=by_word,
    )


def pooled(measured: Sequence[Measured]) -> Measured:
    """Several streams as one: delays over all words, flicker and WER weighed by words."""
    words_of = [m.words for m in measured]
    total = max(1, sum(words_of))
    by_word = tuple(entry for m in measured for entry in m.stable_by_word)
    seen_delays = tuple(delay for m in measured for delay in m.first_seen_delays)
    return Measured(
        words=sum(words_of),
        first_seen=Delay.of(seen_delays),
        stable=Delay.of([delay for _, delay in by_word]),
        missing=sum(m.missing for m in measured),
        gaps=tuple(gap for m in measured for gap in m.gaps),
        flicker=sum(m.flicker * count for m, count in zip(measured, words_of, strict=True)) / total,
        live_wer=sum(m.live_wer * count for m, count in zip(measured, words_of, strict=True)) / total,
        first_seen_delays=seen_delays,
        stable_by_word=by_word,
    )


def settled(history: Sequence[Shown]) -> list[Shown]:
    """The displays that stood for at least ``FRAME_SECONDS``, without repetitions."""
    seen: list[Shown] = []
    for shown, gone_at in zip(history, [*(after.at for after in history[1:]), math.inf], strict=False):
        if gone_at - shown.at < FRAME_SECONDS:
            continue
        if not seen or words(shown.text) != words(seen[-1].text):
            seen.append(shown)
    return seen


def gaps(shown: Collection[int], reference: Sequence[SpokenWord]) -> tuple[tuple[float, str], ...]:
    """The words whose places are not shown, in rows of ``DROPPED_RUN`` or more; when each row's first word ended."""
    runs = [list(run) for here, run in groupby(range(len(reference)), key=lambda place: place in shown) if not here]
    long = [[reference[place] for place in run] for run in runs if len(run) >= DROPPED_RUN]
    return tuple((run[0].end, " ".join(word.text for word in run)) for run in long)


def first_seen(displays: Sequence[Sequence[str]], times: Sequence[float], spoken: Sequence[str]) -> dict[int, float]:
    """When each word of the reference first showed, by its place; words never shown are left out."""
    matcher = Matcher(spoken)
    first: dict[int, float] = {}
    for display, at in zip(displays, times, strict=True):
        for _, place in matcher.match(display):
            first.setdefault(place, at)
    return first


def stable_times(displays: Sequence[Sequence[str]], times: Sequence[float]) -> list[float]:
    """For each word of the last display: from when on the words through it never changed."""
    if not displays:
        return []
    last = displays[-1]
    stable = [times[-1]] * len(last)
    held = len(last)  # words of the last display that all later displays begin with
    for display, at in zip(reversed(displays), reversed(times), strict=True):
        held = min(held, common_prefix(display, last))
        stable[:held] = [at] * held
    return stable


def changed_words(displays: Sequence[Sequence[str]]) -> int:
    """How often a displayed word was replaced or taken away by the next display."""
    changed = 0
    for before, after in pairwise(displays):
        same = common_prefix(before, after)
        old, new = before[same:], after[same:]
        changed += len(old) - len(Matcher(new).match(old)) if old else 0
    return changed


def common_prefix(one: Sequence[str], other: Sequence[str]) -> int:
    """How many words the two begin with alike."""
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


class Matcher:
    """Matches displays with the reference by edit distance; the reference after what was shown costs nothing.

    Rows of the distance table are kept for the words that the next display begins with, so that a growing display
    costs its new words only.
    """

    def __init__(self, reference: Sequence[str]) -> None:
        self._reference = reference
        self._display: list[str] = []
        self._rows = [list(range(len(reference) + 1))]

    def match(self, display: Sequence[str]) -> list[tuple[int, int]]:
        """The equal words: (place in the display, place in the reference), in order."""
        same = common_prefix(display, self._display)
        del self._rows[same + 1 :]
        self._display = list(display)
        for word in display[same:]:
            self._rows.append(self._next(word))
        last = self._rows[-1]
        nearest = min(last)
        # Of places equally near the furthest has most words in common.
        return self._back(len(display), max(place for place, distance in enumerate(last) if distance == nearest))

    def _next(self, word: str) -> list[int]:
        above = self._rows[-1]
        row = [above[0] + 1]
        left = row[0]
        for place, spoken in enumerate(self._reference):
            left = min(above[place] + (word != spoken), above[place + 1] + 1, left + 1)
            row.append(left)
        return row

    def _back(self, shown: int, spoken: int) -> list[tuple[int, int]]:
        pairs = []
        while shown and spoken:
            here = self._rows[shown][spoken]
            equal = self._display[shown - 1] == self._reference[spoken - 1]
            if here == self._rows[shown - 1][spoken - 1] + (not equal):
                shown, spoken = shown - 1, spoken - 1
                if equal:
                    pairs.append((shown, spoken))
            elif here == self._rows[shown - 1][spoken] + 1:
                shown -= 1
            else:
                spoken -= 1
        return pairs[::-1]


def word_error_rate(reference: str, text: str, language: str = "en") -> float:
    """WER of a text, both through Whisper's normaliser for its language; 0.05 is 5 %."""
    normalize = normalizer(language)
    return float(jiwer.wer(normalize(reference), normalize(text)))


@lru_cache(maxsize=2)
def normalizer(language: str) -> BasicTextNormalizer | EnglishTextNormalizer:
    """Whisper's normaliser for English, or for all other languages and several."""
    return EnglishTextNormalizer() if language == "en" else BasicTextNormalizer()

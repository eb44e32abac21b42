"""Long stretches of speech cut into captions: at most two lines each, broken where a person would break them.

Every way to cut a stretch into lines and captions has a cost, and the cheapest one is taken (dynamic programming, as
Knuth and Plass break paragraphs into lines, 1981). Cheap are ends of sentences and clauses and places where the speaker
paused; dear are breaks inside a phrase, lines of very different lengths, and captions that stay too long or too short.
Line length, number of lines and reading speed follow the usual guides for subtitles (42 columns, two lines, about 17
characters a second, 1 to 7 seconds); a full-width letter takes two columns.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from openmic.folding import fold
from openmic.sessions.text.words import is_spaceless, word_spans
from openmic.speech.types import Word

LINE_COLUMNS = 42
CHARACTERS_PER_SECOND = 17.0  # a caption stays long enough to be read at this speed, where the next one lets it
SHORTEST_SECONDS, LONGEST_SECONDS = 1.0, 7.0  # of a caption
MOMENT_SECONDS, BRIEFEST_SECONDS = 0.1, 0.002  # between two starts; and where there is no time for that
LONG_PAUSE_SECONDS, PAUSE_SECONDS = 1.0, 0.3  # between words: no caption spans the one; a phrase may end at the other

CAPTION_COST, LINE_COST = 3.0, 1.0  # of one more
INSIDE_PHRASE, AFTER_CLAUSE, AT_PAUSE = 4.0, 1.0, 1.5  # of breaking there; after a sentence: nothing
LITTLE_WORD = 2.0  # what breaking after one costs more, and breaking before one half of that less
LITTLE_LETTERS = 3
ENCLITIC = 4.0  # what breaking before one costs more
RUN_ON = 2.0  # a sentence that ends in the middle of a line
IMBALANCE = 4.0  # of two lines, one of which is empty
OUT_OF_TIME = 5.0  # each second too long, or too short
NEVER = 1000.0

SENTENCE_END = re.compile(r"[.?!…。？！।؟]+[\"'”’»)\]」』）]*$")
CLAUSE_END = re.compile(r"[,;:،、，；：—–][\"'”’»)\]」』）]*$")
NO_LINE_END = "เแโใไເແໂໃໄ「『（【《〈([{“‘¿¡"  # vowels written before their consonant; what opens something
NO_LINE_START = "ーぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮ々"
ABBREVIATIONS = frozenset(("prof", "gen", "rev", "hon", "capt", "av", "doç", "yrd"))  # with a dot that ends nothing,
VOWELS = frozenset("aeiouyäöüâîûıåæøœéèêëïôóúáíàì")  # as have short words without any of these: Mr., Dr., St., vs.
ENCLITICS = frozenset(("da", "de", "mi", "mı", "mu", "mü", "ki", "ise"))  # Turkish: they lean on the word before them


@dataclass(frozen=True, slots=True)
class Cue:
    """One stretch of text with its times in seconds, and those of its words where they are known."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is never cut: a word, or a letter of a script without spaces, with the punctuation that belongs to it."""

    text: str  # with the space before it
    start: float
    end: float
    columns: int  # without that space
    letters: int


def captions(cues: Iterable[Cue], until: float | None = None) -> list[Cue]:
    """Cut ``cues`` into captions, in order, whose lines are parted by line ends; empty cues give none.

    Args:
        cues: segments in order. One that breaks off inside a sentence, which Whisper's do, goes on in the next.
        until: when the recording ends, in seconds; no caption stays longer, as far as there is time for each at all.
            None: unknown.

    Returns:
        Captions one after another: each is on display for a moment at least, and none begins before the last has gone.
    """
    cut = [caption for units in _stretches(cues) for caption in _Cutter(units).cut()]
    starts = _rising([cue.start for cue in cut], until)
    cut = [replace(cue, start=start) for cue, start in zip(cut, starts, strict=True)]
    return [_readable(cue, following.start) for cue, following in pairwise(cut)] + [
        _readable(cue, until if until is not None else cue.end) for cue in cut[-1:]
    ]


def columns(text: str) -> int:
    """How wide ``text`` is: two columns for a full-width letter, none for a combining mark."""
    return sum(
        0 if unicodedata.category(char) in ("Mn", "Cf") else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _rising(starts: Sequence[float], until: float | None) -> list[float]:
    """The starts a moment apart, moved as little as that takes; Whisper gives words no time, or falling ones."""
    moment = MOMENT_SECONDS
    if until is not None and starts:
        moment = max(BRIEFEST_SECONDS, min(moment, until / len(starts)))
    rising = list(accumulate(starts, lambda before, start: max(start, before + moment)))
    latest = until if until is not None else float("inf")
    for place in reversed(range(len(rising))):
        latest = max(latest - moment, place * moment)  # where there is no time left at all, it is beyond the end
        rising[place] = min(rising[place], latest)
    return rising


def _readable(cue: Cue, latest: float) -> Cue:
    """The caption on display long enough to be read, but not longer than to ``latest``."""
    wanted = max(SHORTEST_SECONDS, columns(cue.text) / CHARACTERS_PER_SECOND)
    end = max(cue.end, cue.start + wanted)
    return replace(cue, end=max(min(end, latest), cue.start + BRIEFEST_SECONDS))


# --- what can be parted


def _stretches(cues: Iterable[Cue]) -> Iterator[list[_Unit]]:
    """The units of each run of cues between which nobody paused and no sentence ended."""
    units: list[_Unit] = []
    for cue in cues:
        if not cue.text.strip():
            continue
        following = _units(cue)
        if units and not _goes_on(units[-1], following[0]):
            yield units
            units = []
        units += following
    if units:
        yield units


def _goes_on(last: _Unit, first: _Unit) -> bool:
    """Whether one sentence goes from one cue into the next."""
    written_on = first.text[0].isspace() or is_spaceless(first.text[0]) or is_spaceless(last.text[-1])
    return written_on and first.start - last.end < PAUSE_SECONDS and not _ends_sentence(last.text.strip())


def _ends_sentence(text: str) -> bool:
    word = text.rstrip(".")
    folds = _folds(word)
    little = len(word) <= LITTLE_LETTERS and not any(VOWELS & {*folded} for folded in folds)
    short = len(word) == 1 or bool(folds & ABBREVIATIONS) or little
    return SENTENCE_END.search(text) is not None and not (text.endswith(".") and word.isalpha() and short)


def _folds(word: str) -> set[str]:
    """The word in small letters; in a text of unknown language ``I`` may be the capital of ``i`` and of ``ı``."""
    return {fold(word), fold(word, "tr")}


def _units(cue: Cue) -> list[_Unit]:
    spelled = "".join(word.word for word in cue.words) == cue.text and cue.words
    parts = [(word.word, word.start, word.end) for word in cue.words if word.word] if spelled else _spread(cue)
    joined: list[tuple[str, float, float]] = []
    for text, start, end in parts:
        if joined and not _may_begin(joined[-1][0], text) and not _too_wide(joined[-1][0], text):
            before, begin, _ = joined.pop()
            text, start = before + text, begin
        joined.append((text, start, end))
    return [
        _Unit(text, start, end, columns(text.strip()), sum(char.isalnum() for char in text))
        for text, start, end in joined
    ]


def _spread(cue: Cue) -> list[tuple[str, float, float]]:
    """The cue's words, and its time shared out among them by their lengths."""
    bounds = {0, len(cue.text)} | {match.start() for match in re.finditer(r"(?<=\S)\s", cue.text)}
    bounds |= {len(cue.text[:start].rstrip()) for start, _ in word_spans(cue.text) if is_spaceless(cue.text[start])}
    rate = (cue.end - cue.start) / len(cue.text)
    return [(cue.text[a:b], cue.start + a * rate, cue.start + b * rate) for a, b in pairwise(sorted(bounds))]


def _may_begin(before: str, text: str) -> bool:
    """Whether ``text`` may begin a line behind ``before``."""
    if not any(char.isalnum() for char in before) or before[-1] in NO_LINE_END:
        return False
    if not any(char.isalnum() for char in text):
        return False
    spaceless = is_spaceless(text[0]) or is_spaceless(before[-1]) or before[-1] in "、。，！？；："
    return text[0].isspace() or (spaceless and text[0] not in NO_LINE_START)


def _too_wide(before: str, text: str) -> bool:
    """Whether the two words, which belong together, would fill more than a line: ten dashes, say."""
    return text[0].isspace() and columns((before + text).strip()) > LINE_COLUMNS


# --- where it is parted


class _Cutter:
    """One stretch's units, and beside each what its place costs.

    Sums run from the first unit, so that the cost of any run of units is the difference of two of them.
    """

    def __init__(self, units: Sequence[_Unit]) -> None:
        self.units = units
        self.breaks = [_break_cost(left, right) for left, right in pairwise(units)] + [0.0]
        self.spaces = [int(unit.text[0].isspace()) for unit in units]
        self.widths = [0, *accumulate(unit.columns + space for unit, space in zip(units, self.spaces, strict=True))]
        inside = [
            NEVER if right.start - left.end >= LONG_PAUSE_SECONDS else RUN_ON if cost == 0 else 0.0
            for (left, right), cost in zip(pairwise(units), self.breaks[:-1], strict=True)
        ]
        self.inside = [0.0, *accumulate(inside)]  # what it costs not to break behind each unit

    def cut(self) -> list[Cue]:
        """The cheapest captions."""
        count = len(self.units)
        costs = [0.0] * (count + 1)
        layouts: list[tuple[int, ...]] = [()] * (count + 1)
        for begin in reversed(range(count)):
            costs[begin], layouts[begin] = min(
                (self.caption_cost(begin, *ends) + costs[ends[-1]], ends) for ends in self.layouts(begin)
            )
        cues, begin = [], 0
        while begin < count:
            ends = layouts[begin]
            lines = ["".join(unit.text for unit in self.units[a:b]).strip() for a, b in pairwise((begin, *ends))]
            cues.append(Cue(self.units[begin].start, self.units[ends[-1] - 1].end, "\n".join(lines)))
            begin = ends[-1]
        return cues

    def layouts(self, begin: int) -> Iterator[tuple[int, ...]]:
        """Where the one or two lines of a caption that starts at ``begin`` may end."""
        for first in self.line_ends(begin):
            yield (first,)
            for second in self.line_ends(first):
                yield (first, second)

    def line_ends(self, begin: int) -> Iterator[int]:
        """Where a line that starts at ``begin`` may end; it holds one unit at least, however wide."""
        for end in range(begin + 1, len(self.units) + 1):
            if end > begin + 1 and self.width(begin, end) > LINE_COLUMNS:
                return
            yield end

    def width(self, begin: int, end: int) -> int:
        """The columns of a line."""
        return self.widths[end] - self.widths[begin] - self.spaces[begin]

    def caption_cost(self, begin: int, first: int, last: int = 0) -> float:
        """Of a caption whose first line ends at ``first`` and whose second, if any, at ``last``, and of its end."""
        cost = CAPTION_COST + self.inside[(last or first) - 1] - self.inside[begin]
        if last:
            difference = self.width(begin, first) - self.width(first, last)
            cost += LINE_COST + self.breaks[first - 1] + IMBALANCE * (difference / LINE_COLUMNS) ** 2
            if self.breaks[first - 1] == 0:
                cost -= RUN_ON  # the sentence ends with its line
        else:
            last = first
        seconds = self.units[last - 1].end - self.units[begin].start
        if last < len(self.units):
            cost += 2 * self.breaks[last - 1]
        if begin > 0 or last < len(self.units):
            cost += OUT_OF_TIME * max(0.0, SHORTEST_SECONDS - seconds)
        return cost + OUT_OF_TIME * max(0.0, seconds - LONGEST_SECONDS)


def _break_cost(left: _Unit, right: _Unit) -> float:
    before, after = left.text.strip(), right.text.strip()
    if _ends_sentence(before):
        return 0.0
    if CLAUSE_END.search(before):
        return AFTER_CLAUSE
    if _folds(after) & ENCLITICS:
        return INSIDE_PHRASE + ENCLITIC
    if right.start - left.end >= PAUSE_SECONDS:
        return AT_PAUSE
    if is_spaceless(after[0]):  # in Japanese, hiragana end a phrase more often than they begin one
        return INSIDE_PHRASE / 2 if "ぁ" <= before[-1] <= "ゟ" and not "ぁ" <= after[0] <= "ゟ" else INSIDE_PHRASE
    cost = INSIDE_PHRASE
    if left.letters <= LITTLE_LETTERS:
        cost += LITTLE_WORD
    if right.letters <= LITTLE_LETTERS < left.letters:
        cost -= LITTLE_WORD / 2
    return cost

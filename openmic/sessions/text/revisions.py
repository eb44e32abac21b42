"""What the final text changed of the words that had been promised while they were spoken.

The two texts are aligned so that as many words as possible are the same (the longest common subsequence; case and
punctuation do not count). What lies between aligned words is compared as it is, so that the spans together are every
difference there is.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Literal

from rapidfuzz.distance import LCSseq

from openmic.folding import fold
from openmic.sessions.text.words import word_spans
from openmic.speech.types import CommittedText, FinalText, Segment

MOST_CHARACTERS = 1_000_000  # of a text that is compared word by word: some fifteen hours of speech

Kind = Literal["words", "form"]
"""Other words; or the same words in other letters' case, punctuation, hyphens or spaces."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One changed span. Offsets count Unicode code points.

    Attributes:
        kind: whether words changed, or only their form.
        old: what the live text said, ``live_text[old_start:old_end]``; "" where something was added.
        new: what the final text says instead, ``text[new_start:new_end]``; "" where something was left out.
        start, end: seconds of the words in the span, the new ones where it has any; None where no word has times.
    """

    kind: Kind
    old: str
    old_start: int
    old_end: int
    new: str
    new_start: int
    new_end: int
    start: float | None
    end: float | None


def revise(commits: Sequence[CommittedText], final: FinalText) -> tuple[Revision, ...]:
    """What ``final`` changed of ``commits``, in order; nothing where the texts are the same.

    Replacing each ``old`` in the commits' text, stripped, by its ``new`` gives the final text, stripped. Takes about
    0.15 s for an hour of speech. Texts above ``MOST_CHARACTERS`` are one change, if they differ.
    """
    joined = "".join(commit.text for commit in commits)
    live = joined.strip()
    text = final.text
    old_times = _Times(_pieces(commits), len(joined) - len(joined.lstrip()))
    new_times = _Times(_pieces(final.segments), 0)
    if new_times.text != text:  # a text that is not its segments' has no times
        new_times = _Times((), 0)
    revised = []
    short = max(len(live), len(text)) <= MOST_CHARACTERS
    changes = _changes(live, text, final.language) if short else _as_a_whole(live, text)
    for kind, a, b, c, d in changes:
        start, end = new_times.within(c, d) or old_times.within(a, b) or (None, None)
        revised.append(Revision(kind, live[a:b], a, b, text[c:d], c, d, start, end))
    return tuple(revised)


Change = tuple[Kind, int, int, int, int]
"""Kind, start and end in the old text, start and end in the new one."""


def _changes(old: str, new: str, language: str) -> Iterator[Change]:
    """All differences; those that touch each other and belong together as one."""
    last: Change | None = None
    for change in _differences(old, new, language):
        joined = _joined(last, change, old, new) if last is not None else change
        if joined is None and last is not None:
            yield last
        last = joined or change
    if last is not None:
        yield last


def _as_a_whole(old: str, new: str) -> Iterator[Change]:
    left = len(new) - len(new.lstrip())
    yield from _unless_same("words", old, new, (0, len(old), left, max(left, len(new.rstrip()))))


def _joined(first: Change, second: Change, old: str, new: str) -> Change | None:
    """Two changes as one, where nothing lies between: of the same kind, or one of them but a space or an addition."""
    if first[2] != second[1] or first[4] != second[3]:
        return None
    kinds = {first[0], second[0]}
    changes = (first, second)
    added = all(a == b for _, a, b, _, _ in changes) or all(c == d for *_, c, d in changes)
    spaces = any(kind == "form" and not (old[a:b] + new[c:d]).strip() for kind, a, b, c, d in changes)
    if len(kinds) == 2 and not added and not spaces:
        return None
    return ("words" if "words" in kinds else "form"), first[1], second[2], first[3], second[4]


def _differences(old: str, new: str, language: str) -> Iterator[Change]:
    """Changed words and changed gaps between words, in order."""
    old_spans, new_spans = word_spans(old), word_spans(new)
    left, right = len(new) - len(new.lstrip()), len(new.rstrip())
    old_words = [fold(old[a:b], language) for a, b in old_spans]
    new_words = [fold(new[a:b], language) for a, b in new_spans]
    a, c = 0, left  # how far both texts are told
    operations = LCSseq.opcodes(old_words, new_words)
    for equal, run in groupby(operations, lambda operation: operation.tag == "equal"):
        parts = [*run]
        olds = old_spans[parts[0].src_start : parts[-1].src_end]
        news = new_spans[parts[0].dest_start : parts[-1].dest_end]
        if equal:
            for (old_start, old_end), (new_start, new_end) in zip(olds, news, strict=True):
                yield from _unless_same("form", old, new, (a, old_start, c, new_start))
                yield from _unless_same("form", old, new, (old_start, old_end, new_start, new_end))
                a, c = old_end, new_end
            continue
        if olds and news:
            yield from _unless_same("form", old, new, (a, olds[0][0], c, news[0][0]))
            a, c = olds[0][0], news[0][0]
        b, d = olds[-1][1] if olds else a, news[-1][1] if news else c
        yield "words", a, b, c, d
        a, c = b, d
    yield from _unless_same("form", old, new, (a, len(old), c, max(c, right)))


def _unless_same(kind: Kind, old: str, new: str, ranges: tuple[int, int, int, int]) -> Iterator[Change]:
    a, b, c, d = ranges
    if old[a:b] != new[c:d]:
        yield kind, a, b, c, d


Piece = tuple[str, float, float]
"""A stretch of text with its start and end in seconds."""


def _pieces(stretches: Sequence[CommittedText] | Sequence[Segment]) -> list[Piece]:
    """Word by word, where a stretch's words spell its text; else the stretch whole."""
    pieces: list[Piece] = []
    for stretch in stretches:
        words = [(word.word, word.start, word.end) for word in stretch.words]
        spelled = "".join(word for word, _, _ in words) == stretch.text
        pieces += words if spelled else [(stretch.text, stretch.start, stretch.end)]
    return pieces


class _Times:
    """When each part of a text was said; ``skip`` characters of the pieces' ``text`` come before it."""

    def __init__(self, pieces: Sequence[Piece], skip: int) -> None:
        self.text = "".join(text for text, _, _ in pieces)
        self._pieces = [piece for piece in pieces if piece[0]]
        self._ends = [*accumulate(len(text) for text, _, _ in self._pieces)]
        self._skip = skip

    def within(self, start: int, end: int) -> tuple[float, float] | None:
        """Start and end in seconds of the pieces that have a part in the range, by its words rather than its gaps."""
        start, end = start + self._skip, end + self._skip
        words = [index for index in range(start, min(end, len(self.text))) if self.text[index].isalnum()]
        if words:
            start, end = words[0], words[-1] + 1
        found = self._pieces[bisect_right(self._ends, start) : bisect_left(self._ends, end) + 1] if start < end else []
        return (found[0][1], found[-1][2]) if found else None

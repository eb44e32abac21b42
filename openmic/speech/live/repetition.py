"""Whisper's failure while streaming: it repeats itself without an end."""

from __future__ import annotations

from collections.abc import Sequence

LONGEST = 16  # tokens of a phrase whose repetition is looked for


def trim_repetition(tokens: Sequence[int]) -> int | None:
    """Where ``tokens`` should end if they end in a loop, else None.

    A loop is a phrase that stands at least three times in a row at the end (six times for one token, four for two:
    people do say "no, no, no"). The first time is kept.
    """
    for size in range(1, LONGEST + 1):
        times = {1: 6, 2: 4}.get(size, 3)
        end = list(tokens[-size * times :])
        if len(end) == size * times and end == end[:size] * times:
            return len(tokens) - size * (times - 1)
    return None

"""Whisper's failure while streaming: it repeats itself without an end."""

from __future__ import annotations

from collections.abc import Sequence

REPEATED_TOKENS_PER_SECOND = 5.0  # people do say "no, no, no, no, no, no"; a loop does not take its time
LONGEST = 16  # tokens of a phrase whose repetition is looked for


def trim_repetition(tokens: Sequence[int], seconds: float = 0.0) -> int | None:
    """Where ``tokens`` should end if they end in a loop, else None.

    A loop is a phrase that stands at least three times in a row at the end (six times for one token, four for two),
    while all tokens are more than a speaker repeats. The first one is kept.

    Args:
        tokens: of a window.
        seconds: how long the window is.
    """
    if len(tokens) <= REPEATED_TOKENS_PER_SECOND * seconds:
        return None
    for size in range(1, LONGEST + 1):
        end = list(tokens[-size:])
        times = 1
        while list(tokens[-size * (times + 1) : -size * times]) == end:
            times += 1
        if times >= {1: 6, 2: 4}.get(size, 3):
            return len(tokens) - size * (times - 1)
    return None

"""Silence, noise, a tone and music add no word, alone or between sentences: real voice activity, real weights."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.corpus.sounds import SOUNDS, music, room, silence, tone
from benchmarks.quiet import MOST_OFF_SECONDS, joined, judged, listen, sentences


@pytest.mark.parametrize("name", list(SOUNDS))
def test_where_nobody_speaks_nothing_is_written(name: str, engine: Any) -> None:
    verdict = judged(listen(engine, SOUNDS[name](40.0)), [])
    assert verdict.invented == []


def test_sentences_between_them_are_kept_and_none_is_added(engine: Any) -> None:
    first, second = sentences()
    samples, spoken = joined(
        [
            first,
            (music(12.0), []),
            second,
            (room(12.0, -35.0), []),
            first,
            (tone(10.0), []),
            second,
            (silence(12.0), []),
            first,
            (room(10.0, -30.0, 2.0), []),
        ]
    )
    verdict = judged(listen(engine, samples), spoken)
    assert (verdict.invented, verdict.lost) == ([], [])
    assert verdict.off_seconds <= MOST_OFF_SECONDS

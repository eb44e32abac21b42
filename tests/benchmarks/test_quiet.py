"""Silence, noise, music, humming, coughs add no word, alone or beside sentences: real voice activity, real weights."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.corpus.sounds import SAID, SOUNDS, music, room, silence, tone
from benchmarks.quiet import MOST_OFF_SECONDS, close_by, joined, judged, listen, sentences


@pytest.mark.parametrize("name", list(SOUNDS))
def test_where_nobody_speaks_nothing_is_written(name: str, engine: Any) -> None:
    verdict = judged(listen(engine, SOUNDS[name](40.0)), [], SAID.get(name, str)())
    assert verdict.invented == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["humming", "breath", "coughs", "a far television"])
def test_what_is_nearly_speech_changes_no_sentence_beside_it(name: str, engine: Any) -> None:
    """Three seconds of it behind each of six sentences, all in one or two windows."""
    samples, spoken = joined(close_by(SOUNDS[name](18.0)))
    verdict = judged(listen(engine, samples), spoken, SAID.get(name, str)())
    assert (verdict.invented, verdict.lost) == ([], [])


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

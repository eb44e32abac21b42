"""Silence, noise, music, humming, coughs add no word, alone or beside sentences: real voice activity, real weights."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.corpus.sounds import SAID, SOUNDS, music, room, silence, tone
from benchmarks.quiet import MOST_OFF_SECONDS, Heard, close_by, joined, judged, listen, sentences
from benchmarks.simulated.virtual import GrowingRecording, VirtualEngine
from openmic.audio.types import Samples
from openmic.settings import Settings
from openmic.speech.engine.thread import EngineParts
from openmic.speech.types import CommittedText, LiveText


@pytest.mark.parametrize("name", [name for name in SOUNDS if name not in SAID])
def test_where_nobody_speaks_nothing_is_written(name: str, engine: Any) -> None:
    verdict = judged(listen(engine, SOUNDS[name](40.0)), [])
    assert verdict.invented == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["breath", "coughs"])
def test_a_breath_or_coughs_beside_sentences_are_not_heard_as_words(name: str, engine_parts: Any) -> None:
    """Three seconds of it behind each of six sentences; without guards "Thank you." or the first one again, live."""
    samples, spoken = joined(close_by(SOUNDS[name](18.0)))
    verdict = judged(heard(engine_parts[0], samples), spoken)
    assert (verdict.invented, verdict.lost) == ([], [])


def heard(parts: EngineParts, samples: Samples) -> Heard:
    """What is made of a recording in virtual time, whatever else the machine does."""
    engine = VirtualEngine(parts, Settings(), 0.3, None)
    events = [told.event for told in engine.play(GrowingRecording(samples))]
    return Heard(
        tuple(event.text for event in events if isinstance(event, LiveText)),
        "".join(event.text for event in events if isinstance(event, CommittedText)),
        engine.final(),
    )


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

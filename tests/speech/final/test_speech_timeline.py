"""Islands of speech, from what voice activity tells while a recording grows."""

from __future__ import annotations

import math

from openmic.audio.types import SpeechBoundary
from openmic.speech.final.speech_timeline import PAUSE_SECONDS, SpeechRegion, SpeechTimeline


def told(*spans: tuple[float, float], known: float) -> SpeechTimeline:
    spoken = SpeechTimeline()
    for start, end in spans:
        spoken.add_boundaries([SpeechBoundary("started", start)], start)
        if end < known:
            spoken.add_boundaries([SpeechBoundary("ended", end)], end)
    spoken.add_boundaries([], known)
    return spoken


def test_told_nothing_all_of_it_is_speech() -> None:
    spoken = SpeechTimeline()
    assert spoken.region(0.0, False) == SpeechRegion(0.0, math.inf, False)
    assert spoken.has_speech(3.0, 4.0)
    assert spoken.within(3.0, 4.0) == (3.0, 4.0)


def test_short_pauses_do_not_part_a_region_and_long_ones_do() -> None:
    spoken = told((1.0, 3.0), (3.0 + PAUSE_SECONDS - 0.1, 9.0), (9.0 + PAUSE_SECONDS + 0.1, 15.0), known=15.5)
    assert spoken.region(0.0, False) == SpeechRegion(1.0, 9.0, True)
    assert spoken.region(9.0, False) == SpeechRegion(9.0 + PAUSE_SECONDS + 0.1, 15.0, False)
    assert spoken.region(15.0, False) is None


def test_a_region_is_over_after_a_long_pause_or_at_the_end() -> None:
    assert told((1.0, 3.0), known=3.0 + PAUSE_SECONDS - 0.1).region(0.0, False) == SpeechRegion(1.0, 3.0, False)
    assert told((1.0, 3.0), known=3.0 + PAUSE_SECONDS + 0.1).region(0.0, False) == SpeechRegion(1.0, 3.0, True)
    assert told((1.0, 3.0), known=3.1).region(0.0, True) == SpeechRegion(1.0, 3.0, True)


def test_speech_that_goes_on_has_no_end_yet() -> None:
    assert told((1.0, math.inf), known=60.0).region(0.0, False) == SpeechRegion(1.0, math.inf, False)


def test_a_word_counts_as_spoken_near_speech_alone() -> None:
    spoken = told((1.0, 3.0), known=20.0)
    assert spoken.has_speech(3.2, 4.0)
    assert not spoken.has_speech(3.4, 4.0)
    assert spoken.has_speech(19.9, 20.5)  # not known yet


def test_a_word_is_put_where_most_of_it_is_spoken() -> None:
    spoken = told((1.0, 3.0), (4.0, 5.0), known=20.0)
    assert spoken.within(0.2, 1.5) == (1.0, 1.5)
    assert spoken.within(2.9, 4.8) == (4.0, 4.8)
    assert spoken.within(3.2, 3.8) == (3.2, 3.8)


def test_what_is_long_over_is_forgotten() -> None:
    spoken = told((1.0, 3.0), (50.0, 51.0), known=60.0)
    spoken.region(0.0, False)
    spoken.forget(40.0)
    assert spoken.region(0.0, False) == SpeechRegion(50.0, 51.0, True)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openmic.audio.types import SAMPLE_RATE
from openmic.speech.engine.stream import FAR_BEHIND_SECONDS, EngineStream
from openmic.speech.final.walk import FinalPass
from openmic.speech.types import FinalProgress, SpeechEvent, SpeechOptions
from tests.support.clip import Clip

MINUTE = 60 * SAMPLE_RATE
FRAMES_PER_SECOND = 100  # of a mel


def opened(seconds: int, events: list[SpeechEvent]) -> EngineStream:
    recording = Clip(np.zeros(seconds * SAMPLE_RATE, np.float32))
    nothing: Any = None  # no model: nothing is worked out here
    final = FinalPass(nothing, recording, SpeechOptions())
    return EngineStream(recording, SpeechOptions(), final, nothing, events.append, lambda: None, 8_000, 192_000)


def test_whoever_waits_for_the_final_is_told_how_far_it_is_once_a_second() -> None:
    events: list[SpeechEvent] = []
    stream = opened(50, events)
    stream.finish()
    for now in (10.0, 10.5, 10.9):
        stream.send_progress(now)
    assert events == []  # it may be over within a second
    stream.final.state.seek = 30 * FRAMES_PER_SECOND
    for now in (11.0, 11.1, 11.9, 12.0):
        stream.send_progress(now)
    assert events == [FinalProgress(30.0, 50.0)] * 2
    stream.final.state.seek = 60 * FRAMES_PER_SECOND
    stream.send_progress(13.0)
    assert events[-1] == FinalProgress(50.0, 50.0)


@pytest.mark.parametrize(("seconds", "told"), [(FAR_BEHIND_SECONDS - 1, 0), (FAR_BEHIND_SECONDS + 1, 1)])
def test_while_audio_comes_only_a_pass_that_is_far_behind_says_so(seconds: float, told: int) -> None:
    events: list[SpeechEvent] = []
    stream = opened(int(seconds), events)
    for now in (10.0, 11.0):
        stream.send_progress(now)
    assert len(events) == told
    stream.final.state.seek = int(seconds) * FRAMES_PER_SECOND
    stream.send_progress(12.0)
    assert len(events) == told


def test_a_gone_session_is_told_nothing() -> None:
    events: list[SpeechEvent] = []
    stream = opened(50, events)
    stream.finish()
    stream.abandon()
    for now in (10.0, 11.0):
        stream.send_progress(now)
    assert events == []

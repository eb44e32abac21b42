"""A stream that is opened behind words which another server had committed of the same recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from openmic.audio.types import SAMPLE_RATE, SpeechBoundary
from openmic.speech.engine.stream import EngineStream, StepPlan
from openmic.speech.final.walk import FinalPass
from openmic.speech.live.hypothesis import Hypothesis
from openmic.speech.live.policy import KEEP_SECONDS, CommitPolicy
from openmic.speech.types import CommittedText, SpeechEvent, SpeechOptions
from tests.speech.live.test_policy import words
from tests.support.clip import Clip

SAID = words("ask not what your country can do for you ask", start=1.0)  # to 5.0 s


def opened(seconds: float, events: list[SpeechEvent]) -> EngineStream:
    recording = Clip(np.zeros(round(seconds * SAMPLE_RATE), np.float32))
    nothing: Any = None  # no model: what is heard is written by hand
    final = FinalPass(nothing, recording, SpeechOptions(language="en"))
    stream = EngineStream(
        recording, SpeechOptions(language="en"), final, nothing, events.append, lambda: None, 8_000, 192_000
    )
    stream.go_on(SAID)
    return stream


def boundary(state: Any, at: float) -> SpeechBoundary:
    return SpeechBoundary(state, at)


def test_the_last_words_stay_in_the_window_and_the_others_become_its_prompt() -> None:
    policy = CommitPolicy()
    policy.go_on(SAID)
    kept = [word for word in SAID if word.end > 5.0 - KEEP_SECONDS]
    assert policy.prefix == kept
    assert policy.context == [token for word in SAID[: -len(kept)] for token in word.tokens]
    assert policy.window_start == round(kept[0].start * SAMPLE_RATE)
    policy.go_on(SAID[-1:])
    assert policy.window_start == round(SAID[-1].start * SAMPLE_RATE)


def test_speech_that_goes_on_is_decoded_behind_them() -> None:
    events: list[SpeechEvent] = []
    stream = opened(7.0, events)
    stream.add_boundaries([boundary("started", 0.9)])
    plan = stream.plan()
    assert plan == StepPlan(stream.policy.window_start, 7 * SAMPLE_RATE, False, False)
    assert stream.policy.prefix == [word for word in SAID if word.end > 5.0 - KEEP_SECONDS]
    for _ in range(2):
        stream.apply_step(plan, Hypothesis(words("what you", start=5.0), "en", 0.0, -0.2, False))
    committed = [event for event in events if isinstance(event, CommittedText)]
    assert "".join(event.text for event in committed) == " what you"


@pytest.mark.parametrize("heard", [1.0, 4.9])
def test_nothing_is_decoded_before_the_recording_is_as_long_again(heard: float) -> None:
    stream = opened(heard, [])
    stream.add_boundaries([boundary("started", 0.9)])
    plan = stream.plan()
    assert plan is None or plan.start_sample >= 3 * SAMPLE_RATE


def test_an_utterance_that_was_committed_to_its_end_is_passed_over() -> None:
    stream = opened(9.0, [])
    stream.add_boundaries(
        [boundary("started", 0.2), boundary("ended", 0.8), boundary("started", 0.9), boundary("ended", 4.9)]
    )
    assert stream.plan() is None
    assert not stream.utterances.speaking
    stream.add_boundaries([boundary("started", 8.0)])
    plan = stream.plan()
    assert plan is not None
    assert plan.start_sample == 8 * SAMPLE_RATE
    assert stream.policy.prefix == []
    assert stream.policy.context == [token for word in SAID for token in word.tokens]


def test_the_utterance_under_way_ends_where_speech_does() -> None:
    events: list[SpeechEvent] = []
    stream = opened(9.0, events)
    stream.add_boundaries([boundary("started", 0.9), boundary("ended", 6.0)])
    plan = stream.plan()
    assert plan is not None
    assert (plan.end_sample, plan.endpoint) == (6 * SAMPLE_RATE, True)
    stream.apply_step(plan, Hypothesis(words("what", start=5.2), "en", 0.0, -0.2, False))
    (committed,) = [event for event in events if isinstance(event, CommittedText)]
    assert (committed.text, committed.start) == (" what", 5.2)
    assert stream.plan() is None
    assert not stream.utterances.speaking


def test_the_final_pass_gets_them_as_a_draft() -> None:
    stream = opened(9.0, [])
    assert [tokens for _, tokens in stream.final.live_tokens] == [word.tokens for word in SAID]

"""What is known of a stream's language from many short windows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from openmic.speech.live.language import MOST_NATS, LanguageEvidence


def logprobs(*probabilities: float) -> NDArray[np.float32]:
    return np.log(np.array(probabilities, np.float32) / sum(probabilities))


def test_a_window_alone_says_its_likeliest() -> None:
    evidence = LanguageEvidence()
    assert evidence.place is None
    assert evidence.take(logprobs(0.2, 0.5, 0.3), 0.5) == evidence.place == 1


def test_a_short_guess_does_not_outweigh_what_was_said_before() -> None:
    evidence = LanguageEvidence()
    evidence.take(logprobs(0.98, 0.01, 0.01), 3.0)
    evidence.begin_window()
    assert evidence.take(logprobs(0.3, 0.6, 0.1), 0.5) == 0
    assert evidence.take(logprobs(0.02, 0.97, 0.01), 1.5) == 1  # the same window, longer: it was a change


def test_weak_hints_add_up_over_windows() -> None:
    evidence = LanguageEvidence()
    for _ in range(4):
        evidence.take(logprobs(0.4, 0.5, 0.1), 0.8)
        evidence.begin_window()
    assert evidence.take(logprobs(0.55, 0.4, 0.05), 0.8) == 1


def test_hearing_a_window_again_counts_once() -> None:
    once, often = LanguageEvidence(), LanguageEvidence()
    for evidence, times in ((once, 1), (often, 20)):
        for _ in range(times):
            evidence.take(logprobs(0.4, 0.6), 1.0)
        evidence.begin_window()
    hint = logprobs(0.7, 0.3)
    assert once.take(hint, 1.0) == often.take(hint, 1.0) == 0


@given(st.lists(st.tuples(st.lists(st.floats(0.01, 1.0), min_size=3, max_size=3), st.floats(0.1, 12.0)), max_size=30))
def test_a_sure_window_always_wins(heard: list[tuple[list[float], float]]) -> None:
    evidence = LanguageEvidence()
    for probabilities, seconds in heard:
        evidence.take(logprobs(*probabilities), seconds)
        evidence.begin_window()
    sure = float(np.exp(-MOST_NATS)) / 2.1
    assert evidence.take(logprobs(sure, sure, 1.0), 1.0) == 2

"""Loops are found at once, and real repetition is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hibari import Hibari
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.corpus.terms import spoken
from openmic.audio.types import SAMPLE_RATE
from openmic.speech.live.repetition import LONGEST, REPEATED_TOKENS_PER_SECOND, trim_repetition
from openmic.speech.types import SpeechOptions
from tests.support.heard import heard


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ([1, 2, 3], None),
        ([7] * 5, None),  # no, no, no, no, no
        ([1] + [7] * 6, 2),
        ([1, 2] * 3, None),
        ([9] + [1, 2] * 4, 3),
        ([9] + [1, 2, 3] * 3, 4),
        ([1, 2, 3] * 2, None),
        ([], None),
    ],
)
def test_examples(tokens: list[int], kept: int | None) -> None:
    assert trim_repetition(tokens) == kept


@given(st.lists(st.integers(0, 3), max_size=6), st.lists(st.integers(0, 50), min_size=3, max_size=LONGEST))
def test_a_phrase_three_times_is_a_loop_of_which_something_is_kept(start: list[int], phrase: list[int]) -> None:
    tokens = start + phrase * 6
    kept = trim_repetition(tokens)
    assert kept is not None
    assert 0 < kept < len(tokens)


def test_what_the_window_has_time_for_is_no_loop() -> None:
    tokens = [1] + [7] * 9
    seconds = len(tokens) / REPEATED_TOKENS_PER_SECOND
    assert trim_repetition(tokens, seconds) is None
    assert trim_repetition([*tokens, 7], seconds) == 2


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize(
    ("said", "end"),
    [
        ("No, no, no, no, no, that is wrong.", "that is wrong."),
        ("Wait, wait, wait, wait, wait, wait, wait, I forgot my hat.", "I forgot my hat."),
        ("It is far, far, far, far, far, far away from here.", "away from here."),
    ],
)
def test_what_follows_a_repetition_is_heard(engine_parts: Any, said: str, end: str) -> None:
    voice = spoken(Hibari(), said, 0)
    quiet = np.zeros(SAMPLE_RATE, np.float32)
    noise = np.random.default_rng(0).normal(0, 1e-3, len(voice) + 2 * SAMPLE_RATE)
    samples = (np.concatenate([quiet, 0.6 * voice / np.abs(voice).max(), quiet]) + noise).astype(np.float32)
    live, final = heard(engine_parts[0], samples, SpeechOptions("en"))
    assert live.endswith(end)
    assert end.rstrip(".").lower() in final.lower()  # Whisper writes it with capitals, or without a full stop

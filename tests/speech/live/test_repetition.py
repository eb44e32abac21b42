"""Loops are found at once, and real repetition is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.speech.live.repetition import LONGEST, trim_repetition


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

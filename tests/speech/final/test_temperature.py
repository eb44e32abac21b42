"""Which text of a window counts where none is good."""

from __future__ import annotations

from typing import Any

import pytest

from openmic.speech.final.decode import WindowResult
from openmic.speech.final.temperature import failed, likeliest


def result(temperature: float, logprob: float, compression: float = 1.0) -> WindowResult:
    trace: Any = None
    return WindowResult((), f"at {temperature}", logprob, 0.1, temperature, compression, trace)


@pytest.mark.parametrize(
    ("logprob", "compression", "wrong"), [(-0.9, 2.3, False), (-1.1, 1.0, True), (-0.2, 2.5, True)]
)
def test_a_text_fails_by_whispers_thresholds(logprob: float, compression: float, wrong: bool) -> None:
    assert failed(result(0.0, logprob, compression)) is wrong


def test_the_likeliest_counts_not_the_most_random() -> None:
    assert likeliest([result(0.0, -1.03), result(0.2, -1.2), result(1.0, -5.0)]).text == "at 0.0"
    assert likeliest([result(0.0, -0.1, 3.0), result(0.8, -1.6), result(1.0, -5.0)]).text == "at 0.8"


def test_where_all_repeat_themselves_the_last_counts_as_whispers() -> None:
    assert likeliest([result(0.0, -0.1, 9.0), result(1.0, -0.7, 2.5)]).text == "at 1.0"

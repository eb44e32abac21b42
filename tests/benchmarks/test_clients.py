"""What counts as working in ``benchmarks.clients``."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.clients import heard, kept

SPOKEN = "calling the Garden Library. It closes at half past six. Say its title after the tone."
ANSWER: dict[str, Any] = {"text": SPOKEN, "words": True, "refused": True, "realtime": SPOKEN}


def test_all_that_was_said_must_be_heard() -> None:
    assert heard(SPOKEN)
    assert not heard(SPOKEN.removesuffix(" Say its title after the tone."))


@pytest.mark.parametrize(
    "change", [{}, {"text": "hello"}, {"realtime": ""}, {"words": False}, {"refused": None}, {"realtime": None}]
)
def test_every_promise_counts(change: dict[str, Any]) -> None:
    assert kept(ANSWER | change) is (not change)


def test_what_was_not_looked_at_is_not_kept() -> None:
    del (answer := dict(ANSWER))["refused"]
    assert not kept(answer)

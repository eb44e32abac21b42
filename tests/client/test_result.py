"""The result as JSON."""

from __future__ import annotations

import json

from openmic.client import Result, Revision, readable_json


def test_readable_json_is_json() -> None:
    value = {"segments": [{"tokens": list(range(200)), "text": "ığ", "words": [{"word": "x" * 60}] * 3}], "empty": []}
    text = readable_json(value)
    assert json.loads(text) == value
    assert "ığ" in text
    assert len(text.splitlines()) < 20


def test_the_result_says_what_the_final_changed() -> None:
    change = {"kind": "words", "old": "a", "old_start": 0, "old_end": 1, "new": "b", "new_start": 1, "new_end": 2}
    final = {
        "type": "final",
        "seq": 1,
        "text": " b",
        "language": "en",
        "duration": 1.0,
        "segments": [],
        "model": "base",
    }
    message = {**final, "live_text": "a", "revised": [{**change, "start": 0.5, "end": 1.0, "certainty": 1}, change]}
    timed, untimed = Result.from_message(message, "id").revised
    assert timed == Revision("words", "a", 0, 1, "b", 1, 2, 0.5, 1.0)
    assert (untimed.start, untimed.end) == (None, None)
    assert Result.from_message(final, "id").revised == ()  # from an older service

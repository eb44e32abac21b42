"""The result as JSON."""

from __future__ import annotations

import json

from openmic.client import readable_json


def test_readable_json_is_json() -> None:
    value = {"segments": [{"tokens": list(range(200)), "text": "ığ", "words": [{"word": "x" * 60}] * 3}], "empty": []}
    text = readable_json(value)
    assert json.loads(text) == value
    assert "ığ" in text
    assert len(text.splitlines()) < 20

"""What may be said, and text that looks like a control token."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from openmic.speech.model.tokens import Vocabulary, encode_text

SPEECH = Path(__file__).resolve().parents[3] / "openmic" / "speech"


@pytest.fixture(scope="module")
def vocabulary(base_model: Any) -> Vocabulary:
    return Vocabulary(base_model)


def test_no_control_token_is_ever_sampled(vocabulary: Vocabulary) -> None:
    tokenizer = vocabulary.any
    control = set(tokenizer.special_tokens.values())
    timestamps = set(range(tokenizer.timestamp_begin, tokenizer.timestamp_begin + 1501))
    assert set(vocabulary.language_tokens) <= set(vocabulary.never)
    assert control - timestamps - {tokenizer.eot, tokenizer.no_timestamps} <= set(vocabulary.never)
    assert tokenizer.eot not in vocabulary.never  # the end of the text
    assert not timestamps & set(vocabulary.never)


def test_any_text_can_be_encoded_and_is_itself(vocabulary: Vocabulary) -> None:
    tokenizer = vocabulary.any
    for name in tokenizer.special_tokens:
        for text in (f"{name} garden", f" garden {name}", f"see {name} there", name[:-1]):
            tokens = encode_text(tokenizer, text)
            assert max(tokens) < tokenizer.eot
            assert tokenizer.decode(tokens) == text


def test_text_is_encoded_in_one_place() -> None:
    """Elsewhere a call could be forgotten that raises on ``<|endoftext|>``."""
    calls = {
        path.name: len(re.findall(r"(?:tokenizer|any|encoding)\.encode\(", path.read_text(encoding="utf-8")))
        for path in SPEECH.rglob("*.py")
    }
    assert {name: count for name, count in calls.items() if count} == {"tokens.py": 1}

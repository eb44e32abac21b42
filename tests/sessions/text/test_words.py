"""What makes up one word, in several scripts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openmic.sessions.text.words import is_spaceless, word_spans


def words(text: str) -> list[str]:
    return [text[start:end] for start, end in word_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" Hello, world! (again)", ["Hello", "world", "again"]),
        ("twenty-one don't 'quoted'", ["twenty", "one", "don't", "quoted"]),
        ("İzmir’de 5% & $20", ["İzmir’de", "5", "%", "&", "$", "20"]),
        ("北京wifi好。", ["北", "京", "wifi", "好"]),
        ("ที่นี่", ["ที่", "นี่"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("می\N{ZERO WIDTH NON-JOINER}خواهم", ["می\N{ZERO WIDTH NON-JOINER}خواهم"]),
        (" … — ", []),
        ("", []),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_scripts_without_spaces() -> None:
    assert all(is_spaceless(char) for char in "北かカไລក")
    assert not any(is_spaceless(char) for char in "aя한 ağ")


@given(st.text(max_size=60))
def test_spans_are_in_order_and_leave_out_no_letter(text: str) -> None:
    spans = word_spans(text)
    assert all(start < end for start, end in spans)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    inside = {index for start, end in spans for index in range(start, end)}
    assert all(index in inside for index, char in enumerate(text) if char.isalnum())

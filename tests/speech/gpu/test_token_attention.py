"""Where tokens were heard: rows in slots together say what each row says alone, in a fixed number of operations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from openmic.speech.gpu import token_attention
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.model.decoder import CrossAttentionKV, Row, TokenSpan
from tests.support.operations import Operations


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture(scope="module")
def decoder(base_model: Any) -> BatchedDecoder:
    return BatchedDecoder(base_model, "float32", (16, 1))


def windows(decoder: BatchedDecoder, count: int) -> list[CrossAttentionKV]:
    generator = torch.Generator().manual_seed(0)
    return [decoder.cross_attention_kv(torch.randn(120 + 31 * i, 512, generator=generator)) for i in range(count)]


def spans(decoder: BatchedDecoder, capacity: int | None, count: int) -> list[TokenSpan]:
    rows: list[Row] = [decoder.row(window, capacity) for window in windows(decoder, count)]
    decoder.forward(rows, [[7 * i + place for place in range(12 + 5 * i)] for i in range(count)])
    return [TokenSpan(row, i % 3, 9 + 5 * i, 100 + 30 * i) for i, row in enumerate(rows)]


def test_rows_together_are_heard_as_rows_alone(decoder: BatchedDecoder, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = decoder.token_attention(spans(decoder, decoder.context, 5))
    for most in (token_attention.MOST_WEIGHTS, 1):  # in one pass, and one row a pass
        monkeypatch.setattr(token_attention, "MOST_WEIGHTS", most)
        found = decoder.token_attention(spans(decoder, None, 5))
        for one, other in zip(found, expected, strict=True):
            assert one.shape == other.shape
            assert np.allclose(one, other, atol=1e-3)


def test_more_rows_need_no_more_operations(decoder: BatchedDecoder) -> None:
    counts = []
    for number in (2, 8):
        wanted = spans(decoder, None, number)
        with Operations() as done:
            decoder.token_attention(wanted)
        counts.append((done.total, done.copies))
    assert counts[0] == counts[1]

"""Which decoder a device gets, and that one which is wrong on a device is not used there."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from openmic.speech import device_decoder
from openmic.speech.batched import BatchedDecoder, StepShape
from openmic.speech.decoder import CrossKeys, Decoder, OwnRow
from openmic.speech.device_decoder import decoder_for, likely_steps, warm_up
from openmic.speech.graphs import Step


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture
def window() -> CrossKeys:
    return CrossKeys(*([torch.zeros(8, 30, 64) for _ in range(6)] for _ in range(2)))


def test_a_processor_gets_the_ragged_decoder(base_model: Any) -> None:
    decoder = decoder_for(base_model, "float32")
    assert type(decoder) is Decoder
    warm_up(decoder)


def test_half_precision_agrees(base_model: Any) -> None:
    """What a GPU computes: float16 throughout."""
    decoder = BatchedDecoder(base_model, "float16", (3, 0))
    warm_up(decoder)
    assert decoder.pools


def test_warming_up_leaves_a_decoder_that_agrees_as_it_is(
    base_model: Any, window: CrossKeys, caplog: pytest.LogCaptureFixture
) -> None:
    recorded: list[Step] = []

    def capture(step: Step) -> Step:
        recorded.append(step)
        return step

    decoder = BatchedDecoder(base_model, "float32", (3, 1), capture)
    warm_up(decoder, record_seconds=0.0)
    assert not caplog.records
    assert [pool.free for pool in decoder.pools] == [3, 1]
    assert not isinstance(decoder.row(window), OwnRow)
    assert len(recorded) == 1  # of the comparison; no time was given for more


def test_likely_steps_are_recorded(base_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = BatchedDecoder(base_model, "float32", (3, 0), lambda step: step)
    assert [shape.rows for shape in likely_steps(decoder)] == [1] * 8 + [2] * 8
    monkeypatch.setattr(device_decoder, "CACHE_BUCKETS", (64,))
    warm_up(decoder)
    assert {StepShape(0, 2, 64, 416), StepShape(0, 1, 64, 832)} <= set(decoder.graphs.keys)


def test_a_device_on_which_rows_in_slots_are_wrong_gets_ragged_rows(
    base_model: Any, window: CrossKeys, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = BatchedDecoder(base_model, "float32", (3, 1))
    monkeypatch.setattr(decoder, "_mask", torch.zeros_like)  # an attention kernel that forgets the mask
    with caplog.at_level(logging.WARNING):
        warm_up(decoder)
    assert "one by one" in caplog.text
    assert isinstance(decoder.row(window), OwnRow)


def test_a_device_on_which_rows_in_slots_fail_gets_ragged_rows(
    base_model: Any, window: CrossKeys, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def out_of_memory(*_: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    decoder = BatchedDecoder(base_model, "float32", (3, 1))
    monkeypatch.setattr(decoder, "_layers_over", out_of_memory)
    with caplog.at_level(logging.WARNING):
        warm_up(decoder)
    assert "fails (CUDA out of memory)" in caplog.text
    row = decoder.row(window)
    assert isinstance(row, OwnRow)
    assert len(decoder.forward([row], [[1, 2]])[0]) == 2

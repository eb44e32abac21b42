"""Which decoder a device gets, and that one which is wrong on a device is not used there."""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from openmic.speech.gpu import select as device_decoder
from openmic.speech.gpu.cuda_graphs import Step
from openmic.speech.gpu.decoder import BatchedDecoder, StepShape
from openmic.speech.gpu.select import decoder_for, likely_steps, warm_up
from openmic.speech.model.decoder import CrossAttentionKV, Decoder, OwnRow
from tests.support.small_whisper import small_whisper


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


@pytest.fixture
def window() -> CrossAttentionKV:
    return CrossAttentionKV(*([torch.zeros(8, 30, 64) for _ in range(6)] for _ in range(2)))


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
    base_model: Any, window: CrossAttentionKV, caplog: pytest.LogCaptureFixture
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
    assert not recorded  # no time was given


def test_likely_steps_are_recorded_the_largest_first(base_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = BatchedDecoder(base_model, "float32", (5, 0), lambda step: step)
    shapes = likely_steps(decoder)
    assert {shape.rows for shape in shapes} == {1, 4, 5}
    sizes = [shape.rows * (shape.cache + shape.states) for shape in shapes]
    assert sizes == sorted(sizes, reverse=True)
    assert shapes[0] == StepShape(0, 5, 448, 832)  # as many as there are slots: it holds every step
    monkeypatch.setattr(device_decoder, "STEP_CACHE", (128,))
    warm_up(decoder)
    assert {StepShape(0, 4, 128, 416), StepShape(0, 1, 128, 832)} <= set(decoder.graphs.keys)


@pytest.mark.slow
def test_after_warming_up_nothing_is_recorded_whatever_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """While people speak, a recording breaks on other cells' work, and breaks theirs."""
    made: list[Step] = []

    def capture(step: Step) -> Step:
        made.append(step)
        return step

    decoder = BatchedDecoder(small_whisper(), "float32", (6, 2), capture)
    warm_up(decoder)
    count, keys = len(made), decoder.graphs.keys
    assert count == len(keys) == 12
    hidden = torch.zeros(6, 1, 64)
    monkeypatch.setattr(decoder, "_layers_over", lambda pool, lanes, *_: hidden[: len(lanes.tokens)])  # what is said
    chance, never = random.Random(0), torch.tensor([0])
    windows = [some_window(states) for states in (20, 300, 420, 830, 1200)]
    for _ in range(300):
        rows = [decoder.row(chance.choice(windows)) for _ in range(chance.randrange(1, 7))]
        for row in rows:
            row.length = chance.randrange(400)
        left = [row for row in rows if chance.random() < 0.7] or rows
        decoder.choose(left, [chance.randrange(1000) for _ in left], never)
    assert len(made) == count
    assert decoder.graphs.keys == keys


def test_a_step_runs_in_the_next_larger_recorded_shape() -> None:
    decoder = BatchedDecoder(small_whisper(), "float32", (6, 2), lambda step: step)
    warm_up(decoder)
    assert decoder._recorded(StepShape(0, 2, 128, 416)) == StepShape(0, 4, 128, 416)
    assert decoder._recorded(StepShape(0, 5, 128, 416)) == StepShape(0, 6, 128, 416)
    assert decoder._recorded(StepShape(1, 2, 128, 416)) == StepShape(1, 2, 128, 416)  # none holds it


def some_window(states: int) -> CrossAttentionKV:
    return CrossAttentionKV(*([torch.zeros(2, states, 32) for _ in range(2)] for _ in range(2)))


def test_a_device_on_which_rows_in_slots_are_wrong_gets_ragged_rows(
    base_model: Any, window: CrossAttentionKV, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoder = BatchedDecoder(base_model, "float32", (3, 1))
    monkeypatch.setattr(decoder, "_mask", torch.zeros_like)  # an attention kernel that forgets the mask
    with caplog.at_level(logging.WARNING):
        warm_up(decoder)
    assert "one by one" in caplog.text
    assert isinstance(decoder.row(window), OwnRow)


def test_a_device_on_which_rows_in_slots_fail_gets_ragged_rows(
    base_model: Any, window: CrossAttentionKV, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
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

"""Windows encoded together are the windows encoded alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.gpu.select_encoder import agrees, encoder_for
from openmic.speech.gpu.window_encoder import BatchedWindowEncoder
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.window_encoder import WindowEncoder


@pytest.fixture(scope="module")
def encoder(base_model: Any) -> WindowEncoder:
    return encoder_for(base_model, BatchedDecoder(base_model, "float32", (0, 0)), "float32")


@pytest.fixture(scope="module")
def speech(sample_audio: Path, load_audio: Callable[[Path], Samples]) -> Samples:
    return load_audio(sample_audio / "quickstart.wav")


@pytest.fixture(autouse=True)
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def cuts(speech: Samples) -> list[Samples]:
    """Windows of many lengths, among them the shortest and one that is no whole number of states."""
    seconds = ((0.0, 0.3), (0.3, 4.0), (4.2, 9.6), (1.0, 3.2), (0.0, 12.0), (2.0, 2.31234), (5.0, 9.0))
    return [speech[round(begin * SAMPLE_RATE) : round(end * SAMPLE_RATE)] for begin, end in seconds]


def test_windows_together_equal_windows_alone(encoder: BatchedWindowEncoder, speech: Samples) -> None:
    samples = [*cuts(speech), np.zeros(SAMPLE_RATE, np.float32), np.resize(speech, 29 * SAMPLE_RATE)]
    for one, window in zip(samples, encoder.windows(samples), strict=True):
        alone = encoder.window(one)
        assert window.states == alone.states
        assert window.cross.states == alone.cross.states
        for ours, other in zip(
            [*window.cross.keys, *window.cross.values], [*alone.cross.keys, *alone.cross.values], strict=True
        ):
            assert torch.allclose(ours, other, atol=2e-3)


def test_no_windows_are_no_windows(encoder: BatchedWindowEncoder) -> None:
    assert encoder.windows([]) == []


def test_a_pass_is_bounded(encoder: BatchedWindowEncoder, speech: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[tuple[int, int]] = []
    together = BatchedWindowEncoder._together

    def noted(self: Any, samples: Any, counts: Any, length: int) -> Any:
        passes.append((len(samples), length))
        return together(self, samples, counts, length)

    monkeypatch.setattr(BatchedWindowEncoder, "_together", noted)
    monkeypatch.setattr(encoder, "most_states", 512)
    encoder.windows([speech[: 4 * SAMPLE_RATE]] * 3 + [speech[:SAMPLE_RATE]])
    assert passes == [(2, 256), (1, 256), (1, 128)]


def test_a_window_beyond_the_models_context_is_an_error(encoder: BatchedWindowEncoder) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        encoder.windows([np.zeros(30 * SAMPLE_RATE, np.float32)])


def test_half_precision_agrees(base_model: Any) -> None:
    """What a GPU computes: float16 throughout."""
    assert agrees(BatchedWindowEncoder(base_model, BatchedDecoder(base_model, "float16", (0, 0)), "float16"))


def test_one_windows_broken_audio_stays_in_it(encoder: BatchedWindowEncoder, speech: Samples) -> None:
    good, bad = speech[: 4 * SAMPLE_RATE], np.full(4 * SAMPLE_RATE, np.nan, np.float32)
    windows = encoder.windows([bad, good])
    assert bool(windows[0].cross.keys[0].isnan().any())
    assert not bool(windows[1].cross.keys[0].isnan().any())


def test_a_processor_gets_the_encoder_that_works_out_what_is_new(base_model: Any) -> None:
    assert type(encoder_for(base_model, Decoder(base_model, "float32"), "float32")) is WindowEncoder


@pytest.mark.parametrize(
    ("failure", "said"), [(None, "something else"), (RuntimeError("out of memory"), "out of memory")]
)
def test_a_device_on_which_windows_together_are_wrong_encodes_them_alone(
    base_model: Any,
    failure: Exception | None,
    said: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inner = BatchedWindowEncoder._padded_states

    def wrong(self: Any, audio: torch.Tensor, state_counts: torch.Tensor) -> torch.Tensor:
        if failure is not None:
            raise failure
        return inner(self, audio, torch.full_like(state_counts, 100))  # as if the mask were that of other windows

    monkeypatch.setattr(BatchedWindowEncoder, "_padded_states", wrong)
    with caplog.at_level(logging.WARNING):
        found = encoder_for(base_model, BatchedDecoder(base_model, "float32", (0, 0)), "float32")
    assert type(found) is WindowEncoder
    assert said in caplog.text

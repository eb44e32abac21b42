"""What a live step asks of a GPU: the same number of operations and of waits, however many streams share it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from openmic.audio.types import SAMPLE_RATE
from openmic.speech.engine.calibration import speech_clip
from openmic.speech.gpu import decoder as batched
from openmic.speech.gpu import kv_slots, token_attention, window_encoder
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.gpu.window_encoder import BatchedWindowEncoder
from openmic.speech.live import decode as live_decode
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.live.hypothesis import StepInput
from openmic.speech.model.tokens import Vocabulary
from openmic.speech.model.upload import on_device
from tests.support.operations import Operations

MOST_FOR_A_ROW = 10


def counted(live: LiveStepDecoder, number: int, forget: list[int] | None = None) -> Operations:
    """A step of so many streams with the same speech, a prefix and a draft."""
    speech = np.asarray(speech_clip()[: 3 * SAMPLE_RATE])
    first = live.step([StepInput(speech, 0.0, "en", "transcribe")])[0]
    tokens = [token for word in first.words for token in word.tokens]
    assert len(tokens) > 4
    request = StepInput(speech, 0.0, "en", "transcribe", prefix=tuple(tokens[:2]), draft=tuple(tokens[2:]))
    done = Operations()
    if forget is not None:
        forget.clear()
    with done:
        found = live.step([request] * number)
    assert len({hypothesis.words for hypothesis in found}) == 1
    assert found[0].words[-1].text == first.words[-1].text
    return done


def test_a_row_more_is_few_operations_more(base_model: Any) -> None:
    decoder = BatchedDecoder(base_model, "float32", (8, 0))
    encoder = BatchedWindowEncoder(base_model, decoder, "float32")
    live = LiveStepDecoder(encoder, decoder, Vocabulary(base_model))
    with torch.inference_mode():
        few, many = counted(live, 4), counted(live, 8)
    assert (many.total - few.total) / 4 < MOST_FOR_A_ROW, many.done - few.done
    assert many.copies == few.copies


def test_copies_to_and_from_the_device_are_as_many_for_any_number_of_rows(
    base_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for the device, or for the bus."""
    decoder = BatchedDecoder(base_model, "float32", (8, 0))
    live = LiveStepDecoder(BatchedWindowEncoder(base_model, decoder, "float32"), decoder, Vocabulary(base_model))
    sent: list[int] = []
    for module in (batched, kv_slots, token_attention, window_encoder, live_decode):
        monkeypatch.setattr(module, "on_device", lambda values, device: sent.append(1) or on_device(values, device))
    counts = []
    with torch.inference_mode():
        for number in (1, 3, 8):
            done = counted(live, number, sent)
            counts.append((done.uploads, len(sent), done.copies))
    assert counts[0] == counts[1] == counts[2]
    uploads, staged, copies = counts[0]
    assert staged <= 5
    assert uploads <= 6  # numbers such as -inf, which are written on the device
    assert copies == 0  # what comes back comes in whole tensors

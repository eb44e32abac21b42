"""What a live step asks of a GPU: the same number of operations and of waits, however many streams share it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from openmic.audio.types import SAMPLE_RATE
from openmic.speech.engine.calibration import speech_clip
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.gpu.window_encoder import BatchedWindowEncoder
from openmic.speech.live.decode import LiveStepDecoder, StepInput
from openmic.speech.model.tokens import Vocabulary
from tests.support.operations import Operations

MOST_FOR_A_ROW = 10


def counted(live: LiveStepDecoder, number: int) -> Operations:
    """A step of so many streams with the same speech, a prefix and a draft."""
    speech = np.asarray(speech_clip()[: 3 * SAMPLE_RATE])
    first = live.step([StepInput(speech, 0.0, "en", "transcribe")])[0]
    tokens = [token for word in first.words for token in word.tokens]
    assert len(tokens) > 4
    request = StepInput(speech, 0.0, "en", "transcribe", prefix=tuple(tokens[:2]), draft=tuple(tokens[2:]))
    done = Operations()
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

"""Word times of a final window, by openai-whisper's own alignment, without encoding the window again."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from whisper.model import Whisper
from whisper.timing import add_word_timestamps
from whisper.tokenizer import Tokenizer


class _EncodedWindow:
    """A model that has encoded its window already: ``find_alignment`` asks it for logits, it decodes alone."""

    def __init__(self, model: Whisper, states: Tensor) -> None:
        self.dims, self.decoder, self.device = model.dims, model.decoder, model.device
        self.alignment_heads = model.alignment_heads
        self._states = states

    def __call__(self, mel: Tensor, tokens: Tensor) -> Tensor:
        logits: Tensor = self.decoder(tokens, self._states[None])
        return logits


def add_words(
    segments: list[dict[str, Any]],
    model: Whisper,
    states: Tensor,
    tokenizer: Tokenizer,
    frames: int,
    last_speech: float,
) -> None:
    """Put ``words`` into ``segments`` and adjust their times, as ``whisper.transcribe`` does.

    Args:
        segments: the window's segments, changed in place.
        model: the loaded model.
        states: its encoder states of the window, shape (1500, n_audio_state).
        tokenizer: of the window's language and task.
        frames: mel frames of the window that hold audio.
        last_speech: seconds at which the last word before the window ended.
    """
    add_word_timestamps(
        segments=segments,
        model=_EncodedWindow(model, states),
        tokenizer=tokenizer,
        mel=torch.empty(0, device=model.device),
        num_frames=frames,
        last_speech_timestamp=last_speech,
    )

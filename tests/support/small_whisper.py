"""A Whisper of random weights that is small enough to be filled, emptied and stepped hundreds of times in a test."""

from __future__ import annotations

import torch
from whisper.model import ModelDimensions, Whisper

DIMS = ModelDimensions(80, 1500, 64, 2, 2, 51_865, 448, 64, 2, 2)


def small_whisper() -> Whisper:
    """Of base's vocabulary and lengths, with two layers and a width of 64; the same each time."""
    torch.manual_seed(0)
    made = Whisper(DIMS).requires_grad_(False).eval()
    made.decoder.positional_embedding.normal_(std=0.02)  # openai-whisper leaves it as the memory was
    return made

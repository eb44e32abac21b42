"""The encoder that a device is best at: of one window on a processor, of many on a GPU, held against the one there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from whisper.model import Whisper

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.gpu.window_encoder import BatchedWindowEncoder
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.encoder import EncoderCache
from openmic.speech.model.linear import Precision
from openmic.speech.model.window_encoder import Window, WindowEncoder

log = logging.getLogger(__name__)

AGREEMENT = 0.05  # of keys of windows encoded together and alone, relative; float16 rounds to some 0.005
CHECKED_SLOTS = 3  # for settled states, while that is looked at


def encoder_for(model: Whisper, decoder: Decoder, precision: Precision) -> WindowEncoder:
    """The encoder for the device that ``model`` is on: batched where ``decoder`` is and where it is right, else not.

    Settled states are kept where that is right, too, and where ``give_slots`` finds memory for them.
    """
    if not isinstance(decoder, BatchedDecoder):
        return WindowEncoder(model, decoder, precision)
    encoder = BatchedWindowEncoder(model, decoder, precision)
    if wrong := _wrong(agrees, encoder):
        log.warning("batched encoding %s on %s; windows are encoded one by one", wrong, model.device)
        return WindowEncoder(model, decoder, precision)
    if encoder.keeps_settled and (wrong := _wrong(growing_agrees, encoder)):
        log.warning("keeping settled states %s on %s; windows are encoded whole", wrong, model.device)
        encoder.keeps_settled = False
    if model.device.type == "cuda":
        encoder.load_kernels()
    encoder.allocate(0)
    return encoder


def _wrong(agree: Callable[[BatchedWindowEncoder], bool], encoder: BatchedWindowEncoder) -> str:
    """What is wrong where windows do not ``agree``; "" where they do."""
    try:
        return "" if agree(encoder) else "says something else than windows one by one"
    except RuntimeError as failure:  # torch's own errors, CUDA's and out of memory are all of this kind
        return f"fails ({failure})"


@torch.inference_mode()
def agrees(encoder: BatchedWindowEncoder) -> bool:
    """Whether windows encoded together are the same as encoded alone."""
    samples = _noise(0.7, 3.0, 2.2)
    return _alike(encoder.windows(samples), [encoder.window(one) for one in samples])


@torch.inference_mode()
def growing_agrees(encoder: BatchedWindowEncoder) -> bool:
    """Whether that is so of windows that grow, from step to step, of which one has no slot and is encoded whole."""
    encoder.allocate(CHECKED_SLOTS)
    whole = _noise(5.0, 4.1, 3.3, 4.6)
    together = [EncoderCache() for _ in whole]
    alone: list[EncoderCache | None] = [*(EncoderCache() for _ in range(CHECKED_SLOTS)), None]
    for parts in ((0.3, 0.5, 0.7, 0.4), (0.7, 0.6, 1.0, 0.8), (1.0, 0.9, 1.0, 1.0)):
        samples = [one[: round(part * len(one))] for one, part in zip(whole, parts, strict=True)]
        if not _alike(encoder.windows(samples, together), WindowEncoder.windows(encoder, samples, alone)):
            return False
    return True


def _noise(*seconds: float) -> list[Samples]:
    generator = np.random.default_rng(0)
    return [generator.normal(0, 0.1, round(one * SAMPLE_RATE)).astype(np.float32) for one in seconds]


def _alike(windows: Sequence[Window], others: Sequence[Window]) -> bool:
    for window, other in zip(windows, others, strict=True):
        for ours, theirs in ((window.cross.keys, other.cross.keys), (window.cross.values, other.cross.values)):
            a, b = torch.stack(list(ours)).float(), torch.stack(list(theirs)).float()
            if a.shape != b.shape or not bool((a - b).norm() <= AGREEMENT * b.norm()):  # nor where it is not a number
                return False
    return True

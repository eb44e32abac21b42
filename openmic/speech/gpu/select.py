"""The decoder that a device is best at: ragged on a processor, batched on a GPU, held against the ragged one there."""

from __future__ import annotations

import itertools
import logging
import time

import torch
from whisper.model import Whisper

from openmic.speech.gpu.cuda_graphs import cuda_capture
from openmic.speech.gpu.decoder import (
    POOL_STATES,
    STATE_BUCKETS,
    STEP_CACHE,
    BatchedDecoder,
    StepShape,
    slot_shape,
)
from openmic.speech.gpu.kv_slots import slots_that_fit
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.linear import Precision

log = logging.getLogger(__name__)

MOST_SLOTS = (512, 8)  # for live windows, and for wider ones
MEMORY_SHARE = 0.4  # of the GPU's free memory, at most, for slots
STEP_ROWS = (1, 4, 16, 32, 64, 128, 256, 512)  # rows of the steps that are recorded; others run in the next larger one
RECORD_SECONDS = 20.0  # for recording steps; no more are recorded later, when people speak
AGREEMENT = 0.05  # of scores of batched and ragged rows, relative; float16 rounds to some 0.005


def decoder_for(model: Whisper, precision: Precision) -> Decoder:
    """The decoder for the device that ``model`` is on, at ``precision``; see ``warm_up``."""
    if model.device.type != "cuda":
        return Decoder(model, precision)
    torch.cuda.empty_cache()
    free_bytes, _ = torch.cuda.mem_get_info(model.device)
    shapes = [slot_shape(model, states) for states in POOL_STATES]
    number_bytes = 2 if precision == "float16" else 4
    slots = slots_that_fit(shapes, MOST_SLOTS, number_bytes, int(MEMORY_SHARE * free_bytes))
    log.info("%d slots for live windows and %d for wider ones", *slots)
    return BatchedDecoder(model, precision, slots, cuda_capture(model.device))


@torch.inference_mode()
def warm_up(decoder: Decoder, record_seconds: float = RECORD_SECONDS) -> None:
    """Hold a batched decoder's rows in slots against ragged ones, and record the steps that are likely to come.

    Should the two differ on this GPU, or rows in slots fail, every row is ragged from then on: slower, and right.

    Args:
        decoder: of ``decoder_for``; nothing is to be done for a ragged one.
        record_seconds: no further recording is begun after so long.
    """
    if not isinstance(decoder, BatchedDecoder):
        return
    try:
        wrong = None if _agrees(decoder) else "says something else than rows one by one"
    except RuntimeError as failure:  # torch's own errors, CUDA's and out of memory are all of this kind
        wrong = f"fails ({failure})"
    if wrong is not None:
        log.warning("batched decoding %s on %s; rows are decoded one by one from now on", wrong, decoder.device)
        decoder.pools.clear()
        return
    deadline = time.monotonic() + record_seconds
    for shape in likely_steps(decoder):
        if not decoder.graphs.enabled or time.monotonic() > deadline:
            break
        decoder.record(shape)


def likely_steps(decoder: BatchedDecoder) -> list[StepShape]:
    """The steps of live windows, the largest first: what they need between kernels, the smaller ones use again."""
    rows = [size for size in STEP_ROWS if size <= decoder.pools[0].free]
    states = [size for size in STATE_BUCKETS if size <= POOL_STATES[0]]
    shapes = [StepShape(0, *sizes) for sizes in itertools.product(rows, STEP_CACHE, states)]
    return sorted(shapes, key=lambda shape: -shape.rows * (shape.cache + shape.states))


def _agrees(decoder: BatchedDecoder) -> bool:
    """Whether rows in slots and rows of their own say the same, in one pass and after a step."""
    generator = torch.Generator().manual_seed(0)
    width = decoder.heads * decoder.head_width
    windows = [
        decoder.cross_attention_kv(torch.randn(states, width, generator=generator).to(decoder.device, decoder.dtype))
        for states in (400, 830, 150)
    ]
    never = torch.tensor([0], device=decoder.device)
    found = []
    for capacity in (None, decoder.context):
        rows = [decoder.row(window, capacity) for window in windows]
        decoder.forward(rows, [[1, 2, 3], [4, 5, 6, 7, 8], [9]])
        decoder.choose(rows, [1, 2, 3], never)
        found.append(decoder.logits(torch.cat(decoder.forward(rows, [[1, 2], [3], [4]]))))
    batched, ragged = found
    return bool((batched - ragged).norm() <= AGREEMENT * ragged.norm())  # not so where one is not a number

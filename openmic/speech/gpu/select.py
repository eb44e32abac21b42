"""The decoder that a device is best at: ragged on a processor, batched on a GPU, held against the ragged one there."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Sequence

import torch
from whisper.model import Whisper

from openmic.speech.device import DeviceMemory, free_memory
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
from openmic.speech.gpu.window_encoder import BatchedWindowEncoder
from openmic.speech.model.decoder import Decoder
from openmic.speech.model.linear import Precision
from openmic.speech.model.window_encoder import WindowEncoder

log = logging.getLogger(__name__)

MOST_SLOTS = (512, 8)  # for live windows, and for wider ones
MEMORY_SHARE = 0.4  # at most, for slots, of the memory that the loaded model has left free
SHARE_WITH_SETTLED = 0.6  # the same where each live window has a slot for its settled states, too
GRAPH_BYTES = 1 << 30  # of memory, at most, for recorded steps: most of it the driver's, which torch does not count
STEP_ROWS = (1, 4, 16, 32, 64, 128, 256, 512)  # rows of the steps that are recorded; others run in the next larger one
RECORD_SECONDS = 20.0  # for recording steps; no more are recorded later, when people speak
AGREEMENT = 0.05  # of scores of batched and ragged rows, relative; float16 rounds to some 0.005


def decoder_for(model: Whisper, precision: Precision) -> Decoder:
    """The decoder for the device that ``model`` is on, at ``precision``; see ``give_slots``, then ``warm_up``."""
    if model.device.type != "cuda":
        return Decoder(model, precision)
    return BatchedDecoder(model, precision, [0] * len(POOL_STATES), cuda_capture(model.device))


def is_batched(decoder: Decoder) -> bool:
    """Whether rows go through it together: then its encoder may serve both passes."""
    return isinstance(decoder, BatchedDecoder)


def give_slots(decoder: Decoder, encoder: WindowEncoder, memory: DeviceMemory | None = None) -> None:
    """Give a batched decoder slots for as many rows as fit, once all else is where it stays.

    Where the encoder keeps settled states, it gets a slot for each live row's. The widest pass of the encoder and the
    most scores are done first, and then the widest pass of the decoder over the slots, and of the encoder over its own:
    what they need meanwhile is left free. (vLLM calls it a profile run.)

    Args:
        decoder: of ``decoder_for``; a ragged one has no slots.
        encoder: of live windows.
        memory: of the device.
    """
    if not isinstance(decoder, BatchedDecoder):
        return
    memory = memory or DeviceMemory(decoder.device)
    batched = encoder if isinstance(encoder, BatchedWindowEncoder) else None
    works = [decoder.widest_scores, *([batched.widest_pass] if batched else [])]
    needed = max(memory.needed_bytes(work) for work in works)
    left = memory.left_bytes()
    settled_bytes = batched.slot_bytes if batched else 0
    share = SHARE_WITH_SETTLED if settled_bytes else MEMORY_SHARE
    room = max(0, min(round(share * left), left - needed - GRAPH_BYTES))
    number_bytes = torch.finfo(decoder.dtype).bits // 8
    shapes = [slot_shape(decoder, states) for states in POOL_STATES]
    slots = slots_that_fit(shapes, MOST_SLOTS, number_bytes, room, settled_bytes)

    def allocate(slots: Sequence[int]) -> None:
        decoder.allocate(slots)
        if batched:
            batched.allocate(slots[0])

    while any(slots):
        try:
            allocate(slots)
            memory.needed_bytes(decoder.widest_pass)
            if batched and settled_bytes:
                memory.needed_bytes(batched.widest_pass)
            break
        except torch.OutOfMemoryError:
            slots = [count // 2 for count in slots]
            allocate([0] * len(slots))
            free_memory()
    log.info(
        "%d slots for live windows%s and %d for wider ones; %d MB of memory are left, the widest pass takes %d",
        slots[0],
        " and their settled states" if settled_bytes else "",
        slots[1],
        memory.left_bytes() / 1e6,
        needed / 1e6,
    )


@torch.inference_mode()
def warm_up(decoder: Decoder, record_seconds: float = RECORD_SECONDS, memory: DeviceMemory | None = None) -> None:
    """Hold a batched decoder's rows in slots against ragged ones, and record the steps that are likely to come.

    Should the two differ on this GPU, or rows in slots fail, every row is ragged from then on: slower, and right.

    Args:
        decoder: of ``decoder_for``; nothing is to be done for a ragged one.
        record_seconds: no further recording is begun after so long,
        memory: nor once recordings have taken ``GRAPH_BYTES`` of the device's.
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
    if memory is None and decoder.device.type == "cuda":
        memory = DeviceMemory(decoder.device)
    deadline, left = time.monotonic() + record_seconds, memory.left_bytes() if memory else 0
    for shape in likely_steps(decoder):
        taken = left - memory.left_bytes() if memory else 0
        if not decoder.graphs.enabled or time.monotonic() > deadline or taken > GRAPH_BYTES:
            break
        decoder.record(shape)
    if memory:
        log.info("%d recorded steps take %d MB", len(decoder.graphs.keys), (left - memory.left_bytes()) / 1e6)


def likely_steps(decoder: BatchedDecoder) -> list[StepShape]:
    """The steps of live windows, the largest first: what they need between kernels, the smaller ones use again."""
    slots = decoder.pools[0].slots
    rows = [*(size for size in STEP_ROWS if size < slots), slots] if slots else []
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

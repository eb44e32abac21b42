"""Preallocated keys and values for the rows of a batch that one attention call serves.

A row takes the lowest slot that is free and gives it back when it is forgotten. A batch's lanes are the slots
themselves, side by side, so that attention reads them where they are and nothing is gathered: live rows live only for a
step, so they have the first slots; a lane whose slot is in no row of the batch is masked. (As in Kyutai's moshi-server:
a fixed batch, a mask, a lane per stream.) The idea of one memory for all requests, handed out in pieces, is vLLM's
(Kwon et al., "Efficient Memory Management for Large Language Model Serving with PagedAttention", 2023); here a piece is
a whole row, since rows are alike and few.

Nothing is ever cleared. A masked place weighs nothing in attention, but nothing times NaN is NaN; so only numbers are
written into slots (``finite_``), and what a row leaves there harms nobody.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from openmic.speech.model.decoder import CrossAttentionKV, Decoder, Row
from openmic.speech.model.upload import on_device

LARGEST = 6e4  # of a number in a slot: float16 ends at 65,504


@dataclass(frozen=True, slots=True)
class SlotShape:
    """What a slot holds.

    Attributes:
        layers: of the decoder.
        aligned: how many of them have alignment heads.
        heads, width: attention heads, and the width of one.
        context: tokens of a row; one more place takes what padding writes.
        states: of the encoder, that a row may attend to.
    """

    layers: int
    aligned: int
    heads: int
    width: int
    context: int
    states: int

    @property
    def values(self) -> int:
        """Numbers in one slot."""
        places = self.context + 1
        return self.heads * self.width * (self.layers * 2 * (places + self.states) + self.aligned * places)


@dataclass(frozen=True, slots=True)
class WindowsTogether:
    """Windows that were encoded together; their keys and values are made in the slots, a layer at a time.

    Attributes:
        decoder: whose cross-attention they are for.
        encoded: encoder states, shape (windows, length, n_audio_state); behind a window's own is anything.
        own: how many states each window has.
        tail: keys and values of the silence behind every window, shape (heads, n_audio_ctx, head_width) per layer.
        tail_begins: where in the tail each window goes on.
        tail_states: how many of the tail's states stand behind a window.
        states: what each window's row attends to, its part of the tail included.
    """

    decoder: Decoder
    encoded: Tensor
    own: Sequence[int]
    tail: CrossAttentionKV
    tail_begins: Sequence[int]
    tail_states: int
    states: Sequence[int]


class LaneKeys(CrossAttentionKV):
    """One window of several that were encoded together; its own keys and values are made when somebody wants them.

    Attributes:
        together: all of them.
        lane: which one.
    """

    def __init__(self, together: WindowsTogether, lane: int) -> None:
        self.together, self.lane = together, lane

    @property
    def states(self) -> int:
        """See ``CrossAttentionKV.states``."""
        return self.together.states[self.lane]

    @property
    def keys(self) -> list[Tensor]:  # type: ignore[override]
        """See ``CrossAttentionKV``."""
        return self.alone.keys

    @property
    def values(self) -> list[Tensor]:  # type: ignore[override]
        """See ``CrossAttentionKV``."""
        return self.alone.values

    @cached_property
    def alone(self) -> CrossAttentionKV:
        """The same in tensors of its own."""
        all_windows, own = self.together, self.together.own[self.lane]
        near = all_windows.decoder.cross_attention_kv(all_windows.encoded[self.lane, :own])
        begin = all_windows.tail_begins[self.lane]
        tail = slice(begin, begin + self.states - own)
        return CrossAttentionKV(
            [torch.cat([k, far[:, tail]], dim=1) for k, far in zip(near.keys, all_windows.tail.keys, strict=True)],
            [torch.cat([v, far[:, tail]], dim=1) for v, far in zip(near.values, all_windows.tail.values, strict=True)],
        )


class KVSlotPool:
    """Slots of one shape, allocated once.

    Args:
        slots: how many.
        shape: of each.
        device, dtype: of the tensors.

    Attributes:
        keys, values: self-attention, shape (layers, slots, context + 1, heads, width).
        cross_keys, cross_values: shape (layers, slots, states, heads, width).
        queries: the alignment layers' cross-attention queries, shape (aligned, slots, context + 1, heads, width).
    """

    def __init__(self, slots: int, shape: SlotShape, device: torch.device, dtype: torch.dtype) -> None:
        def zeros(layers: int, places: int) -> Tensor:
            return torch.zeros((layers, slots, places, shape.heads, shape.width), device=device, dtype=dtype)

        self.shape = shape
        self.keys, self.values = zeros(shape.layers, shape.context + 1), zeros(shape.layers, shape.context + 1)
        self.cross_keys, self.cross_values = (
            zeros(shape.layers, shape.states),
            zeros(shape.layers, shape.states),
        )
        self.queries = zeros(shape.aligned, shape.context + 1)
        self.slots = slots
        self._free = list(range(slots))  # a heap: the lowest first

    @property
    def free(self) -> int:
        """How many slots can be taken."""
        return len(self._free)

    @property
    def padding(self) -> int:
        """The place that takes what padding writes; no row attends to it."""
        return self.shape.context

    def claim(self, states: int) -> SlotRow:
        """The lowest free slot, for a row that attends to so many states; one must be free, and wide enough."""
        return SlotRow(self.shape.context, pool=self, slot=heapq.heappop(self._free), states=states)

    def take(self, cross: CrossAttentionKV) -> SlotRow | None:
        """A slot that attends to ``cross``, or None if none is free or ``cross`` has more states than a slot."""
        if not self._free or cross.states > self.shape.states:
            return None
        row = self.claim(cross.states)
        for pool, layers in ((self.cross_keys, cross.keys), (self.cross_values, cross.values)):
            for target, side in zip(pool, layers, strict=True):
                finite_(target[row.slot, : cross.states].copy_(side.transpose(0, 1)))
        return row

    def fill(self, rows: Sequence[SlotRow], windows: WindowsTogether, lanes: Sequence[int]) -> None:
        """Have claimed ``rows`` attend to those windows of a batch that are in ``lanes``."""
        device, count = self.cross_keys.device, len(windows.own)
        numbers = on_device(
            [
                [row.slot, lane, windows.own[lane], windows.tail_begins[lane]]
                for row, lane in zip(rows, lanes, strict=True)
            ],
            device,
        ).T
        slots, chosen, own, tail_begins = numbers
        encoded = windows.encoded if list(lanes) == list(range(count)) else windows.encoded[chosen]
        width = min(encoded.shape[1], self.shape.states)
        flat = encoded[:, :width].flatten(0, 1)
        steps = torch.arange(windows.tail_states, device=device)
        behind = (own[:, None] + steps).clamp(max=self.shape.states - 1)
        source = (tail_begins[:, None] + steps).clamp(max=windows.tail.states - 1)
        for index, layer in enumerate(windows.decoder.layers):
            for pool, made, tail in (
                (self.cross_keys[index], layer.cross_keys, windows.tail.keys[index]),
                (self.cross_values[index], layer.cross_values, windows.tail.values[index]),
            ):
                pool[slots, :width] = finite_(made(flat)).view(len(rows), width, self.shape.heads, self.shape.width)
                pool[slots[:, None], behind] = tail.transpose(0, 1)[source]

    def give_back(self, slot: int) -> None:
        """The slot may be taken again."""
        heapq.heappush(self._free, slot)


@dataclass(slots=True)
class SlotRow(Row):
    """A row whose keys and values are in a pool; the slot is given back when the row is forgotten.

    Attributes:
        pool: which one.
        slot: its slot.
        states: how many encoder states it attends to.
    """

    pool: KVSlotPool = field(kw_only=True)
    slot: int = field(kw_only=True)
    states: int = field(kw_only=True)

    def __del__(self) -> None:
        self.pool.give_back(self.slot)


def finite_(x: Tensor) -> Tensor:
    """``x`` with what is not a number, or infinite, replaced in place: a slot holds only numbers."""
    return x.nan_to_num_(nan=0.0, posinf=LARGEST, neginf=-LARGEST)


def bucket(buckets: Sequence[int], size: int) -> int:
    """The smallest of ``buckets`` (ascending) that holds ``size``.

    Raises:
        ValueError: none does.
    """
    for candidate in buckets:
        if candidate >= size:
            return candidate
    raise ValueError(f"{size} is more than the largest bucket, {buckets[-1]}")


def slots_that_fit(
    shapes: Sequence[SlotShape], most: Sequence[int], number_bytes: int, room_bytes: int, beside_bytes: int = 0
) -> list[int]:
    """How many slots of each shape to allocate.

    Args:
        shapes: the first is the one that most rows need.
        most: at most so many of each.
        number_bytes: of one number, 2 for float16.
        room_bytes: for all of them together.
        beside_bytes: that each of the first shape needs elsewhere.

    Returns:
        As many of the first shape as fit; a shape behind it gets an eighth of the room at most.
    """
    counts = [
        min(count, room_bytes // 8 // (shape.values * number_bytes))
        for shape, count in zip(shapes[1:], most[1:], strict=True)
    ]
    taken = sum(count * shape.values for shape, count in zip(shapes[1:], counts, strict=True)) * number_bytes
    return [min(most[0], (room_bytes - taken) // (shapes[0].values * number_bytes + beside_bytes)), *counts]

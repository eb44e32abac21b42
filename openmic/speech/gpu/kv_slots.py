"""Preallocated keys and values for the rows of a batch that one attention call serves.

A row takes a slot and gives it back when it is forgotten. All slots of a pool have the same room, so a batch of rows,
wherever their slots are, is one gather and one padded attention, with the same shapes from step to step. The idea of
one memory for all requests, handed out in pieces, is vLLM's (Kwon et al., "Efficient Memory Management for Large
Language Model Serving with PagedAttention", 2023); here a piece is a whole row, since rows are alike and few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from openmic.speech.model.decoder import CrossAttentionKV, Row


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
    """Cross-attention keys and values of windows that were worked out together.

    Attributes:
        keys, values: per layer, shape (windows, states, heads, head_width); behind a window's own states is anything
            that is a number.
        states: states of each window.
    """

    keys: Sequence[Tensor]
    values: Sequence[Tensor]
    states: Sequence[int]

    @property
    def width(self) -> int:
        """States of each window, padding included."""
        return int(self.keys[0].shape[1])


class LaneKeys(CrossAttentionKV):
    """One window of several that were worked out together; its own tensors are made when somebody wants them.

    Attributes:
        together: all of them.
        lane: which one.
    """

    __slots__ = ("lane", "together")

    def __init__(self, together: WindowsTogether, lane: int) -> None:
        self.together, self.lane = together, lane

    @property
    def states(self) -> int:
        """See ``CrossAttentionKV.states``."""
        return self.together.states[self.lane]

    @property
    def keys(self) -> list[Tensor]:  # type: ignore[override]
        """See ``CrossAttentionKV``."""
        return self._own(self.together.keys)

    @property
    def values(self) -> list[Tensor]:  # type: ignore[override]
        """See ``CrossAttentionKV``."""
        return self._own(self.together.values)

    def _own(self, layers: Sequence[Tensor]) -> list[Tensor]:
        return [layer[self.lane, : self.states].transpose(0, 1) for layer in layers]


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
        self._free = list(range(slots))[::-1]

    @property
    def free(self) -> int:
        """How many slots can be taken."""
        return len(self._free)

    @property
    def padding(self) -> int:
        """The place that takes what padding writes; no row attends to it."""
        return self.shape.context

    def take(self, cross: CrossAttentionKV) -> SlotRow | None:
        """A slot that attends to ``cross``, or None if none is free or ``cross`` has more states than a slot."""
        if not self._free or cross.states > self.shape.states:
            return None
        keys, values = ([side.transpose(0, 1)[None] for side in sides] for sides in (cross.keys, cross.values))
        return self.take_together(WindowsTogether(keys, values, (cross.states,)), [0])[0]

    def take_together(self, windows: WindowsTogether, lanes: Sequence[int]) -> list[SlotRow]:
        """Slots that attend to those windows of a batch that are in ``lanes``; so many must be free, and wide enough.

        What the rows before left is cleared: masked places weigh nothing in attention, but nothing times NaN is NaN.
        """
        device = self.keys.device
        rows = [
            SlotRow(self.shape.context, pool=self, slot=self._free.pop(), states=windows.states[lane]) for lane in lanes
        ]
        width = min(windows.width, self.shape.states)
        slots = torch.tensor([row.slot for row in rows], device=device)
        whole = len(lanes) == len(windows.states)
        chosen = None if whole else torch.tensor(lanes, device=device)
        for pool, layers in ((self.cross_keys, windows.keys), (self.cross_values, windows.values)):
            pool[:, slots, width:] = 0
            for layer, new in enumerate(layers):
                pool[layer, slots, :width] = (new if chosen is None else new[chosen])[:, :width]
        self.keys[:, slots] = 0
        self.values[:, slots] = 0
        return rows

    def give_back(self, slot: int) -> None:
        """The slot may be taken again."""
        self._free.append(slot)


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


def bucket(buckets: Sequence[int], size: int) -> int:
    """The smallest of ``buckets`` (ascending) that holds ``size``.

    Raises:
        ValueError: none does.
    """
    for candidate in buckets:
        if candidate >= size:
            return candidate
    raise ValueError(f"{size} is more than the largest bucket, {buckets[-1]}")


def slots_that_fit(shapes: Sequence[SlotShape], most: Sequence[int], number_bytes: int, room_bytes: int) -> list[int]:
    """How many slots of each shape to allocate.

    Args:
        shapes: the first is the one that most rows need.
        most: at most so many of each.
        number_bytes: of one number, 2 for float16.
        room_bytes: for all of them together.

    Returns:
        As many of the first shape as fit; a shape behind it gets an eighth of the room at most.
    """
    counts = [
        min(count, room_bytes // 8 // (shape.values * number_bytes))
        for shape, count in zip(shapes[1:], most[1:], strict=True)
    ]
    taken = sum(count * shape.values for shape, count in zip(shapes[1:], counts, strict=True)) * number_bytes
    return [min(most[0], (room_bytes - taken) // (shapes[0].values * number_bytes)), *counts]

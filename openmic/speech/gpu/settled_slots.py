"""Settled states of growing windows, preallocated for a GPU, and whether a model's are worth their memory.

A stream's window takes a slot when it is first encoded and has it until the window slides, or speech ends: what is
settled stays where it is, and what is new is written behind it. The slots that a batch needs are read where they lie if
they are side by side, as they are while everybody speaks; else they are copied out, a layer at a time. As in
``kv_slots.py`` only numbers are written, and nothing is cleared.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import torch
from torch import Tensor

from openmic.speech.gpu.kv_slots import finite_
from openmic.speech.model.encoder import EncoderCache

SLOT_STATES = 640  # of a slot: windows of up to 12.3 s and their half second of silence
PADDING = SLOT_STATES  # the state that takes what padding writes; nothing attends to it

USUAL_STATES, USUAL_PLACES, USUAL_PASSES = 384, 960, 7  # of a live step: a window's, what a pass reads, passes
FLOP_FOR_A_BYTE = 250  # that a GPU's matrix products do while its memory gives a byte; the most of today's (L4)


def encoder_decides(width: int, encoder_layers: int, decoder_layers: int) -> bool:
    """Whether a model's live steps are bound by its encoder on every card, so that settled states are kept.

    A window's encoding must take longer than reading all the keys and values that its decoding reads: more operations
    for each of their bytes than any card does meanwhile. Where it does not, windows are encoded whole: what would be
    saved is not worth the memory, and few windows would take longer in two passes, of new states and whole ones.

    Args:
        width: of its states.
        encoder_layers: how many it has.
        decoder_layers: and how many the decoder has.
    """
    flop = 2 * encoder_layers * USUAL_STATES * (12 * width**2 + 2 * USUAL_STATES * width)
    read_bytes = USUAL_PASSES * decoder_layers * USUAL_PLACES * 2 * width * 2
    return flop > FLOP_FOR_A_BYTE * read_bytes


class SettledSlots:
    """Slots for the settled states of one window each, allocated once.

    Args:
        slots: how many.
        layers, heads, width: of the encoder; the width is that of its states.
        device, dtype: of the tensors.

    Attributes:
        keys_values: of each encoder layer, shape (layers, slots, SLOT_STATES + 1, 2, heads, width / heads).
        encoded: what the encoder makes of them, shape (slots, SLOT_STATES + 1, width).
        loudest: the greatest log10 mel power of each window so far, float32, shape (slots, 1, 1).
    """

    def __init__(
        self, slots: int, layers: int, heads: int, width: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device, dtype=dtype)

        self.slots = slots
        self.keys_values = zeros(layers, slots, SLOT_STATES + 1, 2, heads, width // heads)
        self.encoded = zeros(slots, SLOT_STATES + 1, width)
        self.loudest = torch.zeros((slots, 1, 1), device=device)
        self._free = list(range(slots))  # a heap: the lowest first

    @property
    def free(self) -> int:
        """How many slots can be taken."""
        return len(self._free)

    def slot_of(self, settled: EncoderCache, states: int) -> int | None:
        """The slot of a window of so many states, taken now if it has none; None: no slot is free, or large enough."""
        slot = settled.slot
        if isinstance(slot, SettledSlot) and slot.owner is self and states <= SLOT_STATES:
            return slot.number
        settled.clear()
        if not self._free or states > SLOT_STATES:
            return None
        settled.slot = SettledSlot(self, heapq.heappop(self._free))
        return settled.slot.number

    def give_back(self, number: int) -> None:
        """The slot may be taken again."""
        heapq.heappush(self._free, number)


@dataclass(slots=True, eq=False)
class SettledSlot:
    """A window's slot, given back when the window is forgotten.

    Attributes:
        owner: whose slot it is.
        number: its number there.
    """

    owner: SettledSlots
    number: int

    def __del__(self) -> None:
        self.owner.give_back(self.number)


class NewStates:
    """New states of several windows, and where they go.

    Args:
        slots: of the windows, ascending.
        numbers: on the device, int64, shape (3, windows): the slots, and in each the first new state and the end.
        margin: states before the first new one that are only convolved.
        length: of new states, padding included.
        span: states that are attended to, padding included.

    Attributes:
        along: the number of each state in its window, the margin's too, shape (windows, margin + length).
        inside: which of them are no padding, as ``along``.
        attended: which of the first ``span`` states are a window's own, shape (windows, span).
    """

    def __init__(
        self, owner: SettledSlots, slots: list[int], numbers: Tensor, margin: int, length: int, span: int
    ) -> None:
        begins, ends = numbers[1:, :, None]
        steps = torch.arange(max(margin + length, span), device=numbers.device)
        self.along = begins - margin + steps[: margin + length]
        self.inside = self.along < ends
        self.attended = steps[:span] < ends
        self._owner, self._span = owner, span
        self._slots = numbers[0]
        side_by_side = slots == list(range(slots[0], slots[0] + len(slots)))
        self._where: slice | Tensor = slice(slots[0], slots[-1] + 1) if side_by_side else self._slots
        self._targets = self.along.where(self.inside, PADDING)[:, margin:]
        self._fresh = margin == 0

    def loudest(self, power: Tensor) -> Tensor:
        """The greatest of ``power``, shape (windows, n_mels, mel frames), and of what each window had before."""
        found = power.amax(dim=(1, 2), keepdim=True)
        if not self._fresh:
            found = found.maximum(self._owner.loudest[self._slots])
        self._owner.loudest[self._slots] = found
        return found

    def keys_values(self, layer: int, new: Tensor) -> Tensor:
        """Keep a layer's new keys and values, shape (windows, length, 2, heads, head width).

        Returns:
            Those of all states so far, shape (windows, span, 2, heads, head width).
        """
        kept = self._owner.keys_values[layer]
        kept[self._slots[:, None], self._targets] = finite_(new)
        return kept[self._where, : self._span]

    def encoded(self, new: Tensor) -> Tensor:
        """Keep new states, shape (windows, length, width); returns all so far, shape (windows, span, width)."""
        self._owner.encoded[self._slots[:, None], self._targets] = new
        return self._owner.encoded[self._where, : self._span]

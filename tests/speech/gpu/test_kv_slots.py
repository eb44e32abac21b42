"""Slots are handed out and given back, and hold numbers; how many fit is stated beforehand."""

from __future__ import annotations

import pytest
import torch

from openmic.speech.gpu.kv_slots import LARGEST, KVSlotPool, SlotShape, bucket, slots_that_fit
from openmic.speech.model.decoder import CrossAttentionKV

SHAPE = SlotShape(layers=2, aligned=1, heads=3, width=4, context=10, states=16)


def pool(slots: int = 2) -> KVSlotPool:
    return KVSlotPool(slots, SHAPE, torch.device("cpu"), torch.float32)


def window(states: int, value: float = 1.0) -> CrossAttentionKV:
    keys = [torch.full((3, states, 4), value + layer) for layer in range(2)]
    return CrossAttentionKV(keys, [-k for k in keys])


def test_a_row_finds_its_window_in_its_slot() -> None:
    slots = pool()
    cross = CrossAttentionKV(*([torch.randn(3, 7, 4) for _ in range(2)] for _ in range(2)))
    row = slots.take(cross)
    assert row is not None
    assert (row.length, row.capacity, row.states) == (0, 10, 7)
    for layer in range(2):
        assert torch.equal(slots.cross_keys[layer, row.slot, :7].transpose(0, 1), cross.keys[layer])
        assert torch.equal(slots.cross_values[layer, row.slot, :7].transpose(0, 1), cross.values[layer])


def test_a_slot_holds_only_numbers_so_nothing_needs_to_be_cleared() -> None:
    slots = pool(1)
    row = slots.take(window(16, torch.nan))
    assert row is not None
    assert not slots.cross_keys.any()
    del row
    assert slots.take(window(5, torch.inf)) is not None
    assert slots.cross_keys[:, 0, :5].tolist() == [[[[LARGEST] * 4] * 3] * 5] * 2
    assert slots.cross_values[:, 0, :5].tolist() == [[[[-LARGEST] * 4] * 3] * 5] * 2


def test_the_lowest_slot_is_taken_first() -> None:
    """A step's lanes are all slots up to its last row's."""
    slots = pool(4)
    rows = [slots.take(window(5)) for _ in range(4)]
    assert [row.slot for row in rows if row is not None] == [0, 1, 2, 3]
    del rows[2], rows[1]
    rows.append(slots.take(window(5)))
    assert [row.slot for row in rows if row is not None] == [0, 3, 1]


def test_a_full_pool_has_no_slot_and_gets_one_back() -> None:
    slots = pool(2)
    first, second = slots.take(window(5)), slots.take(window(5))
    assert first is not None
    assert second is not None
    assert first.slot != second.slot
    assert slots.take(window(5)) is None
    freed = first.slot
    del first
    assert slots.free == 1
    third = slots.take(window(5))
    assert third is not None
    assert third.slot == freed


def test_a_window_that_is_too_long_takes_no_slot() -> None:
    slots = pool()
    assert slots.take(window(17)) is None
    assert slots.free == 2


def test_a_slots_memory_is_known_before_it_is_allocated() -> None:
    slots = pool(2)
    tensors = (slots.keys, slots.values, slots.cross_keys, slots.cross_values, slots.queries)
    assert 2 * SHAPE.values == sum(tensor.numel() for tensor in tensors)


def test_as_many_slots_as_fit() -> None:
    base = SlotShape(layers=6, aligned=3, heads=8, width=64, context=448, states=832)
    wide = SlotShape(layers=6, aligned=3, heads=8, width=64, context=448, states=1504)
    gib = 1 << 30
    assert slots_that_fit([base, wide], [256, 8], 2, 40 * gib) == [256, 8]
    few = slots_that_fit([base, wide], [256, 8], 2, gib)
    assert 0 < few[1] < 8
    assert 0 < few[0] < 256
    assert sum(count * shape.values * 2 for count, shape in zip(few, (base, wide), strict=True)) <= gib
    assert slots_that_fit([base, wide], [256, 8], 2, 1000) == [0, 0]


def test_a_size_is_rounded_up_to_its_bucket() -> None:
    assert [bucket((4, 8, 16), size) for size in (1, 4, 5, 16)] == [4, 4, 8, 16]
    with pytest.raises(ValueError, match="largest bucket"):
        bucket((4, 8, 16), 17)

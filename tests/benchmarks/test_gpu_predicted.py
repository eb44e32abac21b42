"""What is predicted for cards: the arithmetic, and that the page prints what it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu_predicted import (
    ANEW_EVERY,
    ANEW_STATES,
    CARDS,
    NEW_STATES,
    SHAPES,
    WAYS,
    WINDOW_STATES,
    Card,
    Shape,
    costs,
    encode_seconds,
    pass_seconds,
    row,
    slots_with_settled,
)

ROOT = Path(__file__).parents[2]
ONE = Card("one", 1.0, 1.0, 1.0, 0.0, 0.0)  # 1 GB/s; operations cost nothing
BASE, TURBO = SHAPES


def test_a_pass_reads_weights_once_and_each_rows_keys_and_values() -> None:
    assert BASE.decoder_bytes == pytest.approx(97e6, rel=0.01)
    assert BASE.row_bytes == 2 * 6 * 2 * 512 * (832 + 128)
    one, two = (pass_seconds(ONE, BASE, rows, "in place") for rows in (1, 2))
    assert two - one == pytest.approx(BASE.row_bytes / 0.75e9 + 1.2e-6)
    gathered = pass_seconds(ONE, BASE, 1, "measured") - one
    assert gathered == pytest.approx(2 * BASE.row_bytes / 0.6e9)


def test_an_encoders_multiplications_count_twice() -> None:
    assert Shape("one", 10, 1, 1, 1).encode_flop(2) == 2 * 2 * (12 * 100 + 2 * 2 * 10)


@pytest.mark.parametrize("card", CARDS, ids=lambda card: str(card.name))
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape.name))
def test_slots_in_place_carry_more(card: Card, shape: Shape) -> None:
    first, measured, in_place, settled = (costs(card, shape, way).capacity() for way in WAYS)
    assert first <= measured < in_place
    assert settled > in_place if shape.keeps_settled else settled == in_place


def test_windows_without_a_slot_are_encoded_whole() -> None:
    assert slots_with_settled(CARDS[0], BASE) == 0
    slots = slots_with_settled(CARDS[0], TURBO)
    flops = CARDS[0].teraflops * 1e12
    few, all_slots, one_more = (encode_seconds(CARDS[0], TURBO, rows, "settled") for rows in (1, slots, slots + 1))
    assert one_more - all_slots == pytest.approx(TURBO.encode_flop(WINDOW_STATES) / flops)
    mean = (all_slots - few) / (slots - 1)
    new = (ANEW_EVERY - 1) * TURBO.encode_flop(NEW_STATES, WINDOW_STATES) + TURBO.encode_flop(ANEW_STATES)
    assert new / ANEW_EVERY / flops < mean < 1.2 * new / ANEW_EVERY / flops  # and what copying takes


def test_settled_states_carry_thirty_on_the_smallest_cards() -> None:
    assert all(costs(card, TURBO, "settled").capacity() >= 30 for card in CARDS[:2])


def test_the_page_prints_what_the_program_prints() -> None:
    names = ("gpu.md", "decisions/0023-slots-in-place.md", "decisions/0025-settled-states-on-a-gpu.md")
    page, in_place, settled = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in names)
    for shape in SHAPES:
        for card in CARDS:
            assert row(card, shape, ("settled",)) in page
            assert row(card, shape, WAYS[:3]) in in_place
    for card in CARDS:
        assert row(card, TURBO, ("first", "in place", "settled")) in settled

"""What is predicted for cards: the arithmetic, and that the page prints what it gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu_predicted import CARDS, SHAPES, WAYS, Card, Shape, costs, pass_seconds, row

ROOT = Path(__file__).parents[2]
ONE = Card("one", 1.0, 1.0, 0.0, 0.0)  # 1 GB/s; operations cost nothing
BASE = SHAPES[0]


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
    first, measured, in_place = (costs(card, shape, way).capacity() for way in WAYS)
    assert first <= measured < in_place


def test_the_page_prints_what_the_program_prints() -> None:
    page, decision = (
        (ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("gpu.md", "decisions/0023-slots-in-place.md")
    )
    for shape in SHAPES:
        for card in CARDS:
            assert row(card, shape, ("in place",)) in page
            assert row(card, shape, WAYS) in decision

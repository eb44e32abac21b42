"""How long the final still takes."""

from __future__ import annotations

from openmic.client import Remaining


def progress(done: float, total: float = 100.0) -> dict[str, object]:
    return {"type": "progress", "stage": "finishing", "done_seconds": done, "total_seconds": total}


def test_a_guess_needs_something_to_go_by() -> None:
    remaining = Remaining()
    assert remaining.update(progress(0.0), 5.0) is None
    assert remaining.update(progress(10.0), 6.0) is None  # too soon
    assert remaining.update(progress(0.0), 8.0) is None  # nothing done yet


def test_what_is_left_goes_at_the_speed_so_far() -> None:
    remaining = Remaining()
    remaining.update(progress(20.0), 5.0)
    assert remaining.update(progress(60.0), 9.0) == 4.0  # 10 seconds of audio a second
    assert remaining.update(progress(60.0), 13.0) == 8.0
    assert remaining.update(progress(100.0), 14.0) == 0.0
    assert remaining.update(progress(101.0), 15.0) == 0.0

"""The service's last minutes: which moments there are, and the percentiles of the delay."""

from __future__ import annotations

from openmic.sessions.load import DELAY_SECONDS, KEPT_SECONDS, MOMENT_SECONDS, LoadHistory, percentile


def test_percentiles_are_values_that_were_there() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3.0], 0.5) == percentile([3.0], 0.9) == 3.0
    ten = [float(n) for n in range(1, 11)]
    assert (percentile(ten, 0.5), percentile(ten, 0.9)) == (5.0, 9.0)


def test_a_moment_knows_the_delays_of_the_last_seconds_and_nobody_has_none() -> None:
    clock = [0.0]
    history = LoadHistory(lambda: clock[0])
    assert history.due
    history.add([1.0, 2.0], 4, 0.5, 7)
    assert not history.due
    clock[0] = MOMENT_SECONDS
    assert history.due
    history.add([], 4, 0.0, None)
    clock[0] = DELAY_SECONDS
    history.add([9.0], 4, 0.9, None)
    clock[0] = 2 * DELAY_SECONDS
    history.add([], 4, 0.0, None)
    told = [(one.at, one.speakers, one.delay_p50_seconds, one.delay_p90_seconds) for one in history.moments]
    assert told == [
        (0.0, 2, 1.0, 2.0),
        (MOMENT_SECONDS, 0, 1.0, 2.0),
        (DELAY_SECONDS, 1, 9.0, 9.0),
        (2 * DELAY_SECONDS, 0, None, None),
    ]
    assert (history.moments[0].places, history.moments[0].busy, history.moments[0].memory_bytes) == (4, 0.5, 7)


def test_the_last_minutes_are_kept_and_no_more() -> None:
    clock = [0.0]
    history = LoadHistory(lambda: clock[0])
    for _ in range(1000):
        clock[0] += MOMENT_SECONDS
        history.add([], 1, 0.0, None)
    assert clock[0] - history.moments[0].at < KEPT_SECONDS

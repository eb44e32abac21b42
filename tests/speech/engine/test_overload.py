"""What happens while other programs take the machine: live text first, finals later, and it is noticed.

On a virtual clock: the same on any machine, however busy it is.
"""

from __future__ import annotations

import pytest

from openmic.speech.engine.costs import Costs
from openmic.speech.engine.overload import (
    GAP_SECONDS,
    LEAST_STEPS,
    ON_TIME_SECONDS,
    SLOWNESS_SECONDS,
    Episode,
    Slowness,
)
from openmic.speech.engine.scheduler import GIVE_WAY_SECONDS, LONGEST_WAIT_SECONDS
from openmic.speech.types import FinalProgress
from tests.support.scripted_turns import Speaker, Stage

PROCESSOR = Costs(((1, 0.1), (4, 0.36)), 1.5)
SPEAKERS = PROCESSOR.capacity()


def crowded(slowness: float, seconds: float | None = None) -> Stage:
    """As many as were measured speak, at first on an idle machine, and then other programs take it."""
    stage = Stage(PROCESSOR)
    for number in range(SPEAKERS):
        stage.play(0.83 * number)
        stage.speaker(seconds=seconds)
    stage.play(20.0)
    stage.slowness = slowness
    return stage


def delays(speakers: list[Speaker], start: float) -> list[float]:
    return sorted(delay for speaker in speakers for delay in speaker.delays(start))


def p90(values: list[float]) -> float:
    return values[int(0.9 * len(values))]


def test_as_many_as_measured_are_four_here() -> None:
    assert SPEAKERS == 4


@pytest.mark.parametrize(("slowness", "most_p90", "most"), [(2.0, 2.0, 3.0), (3.0, 2.2, 3.0), (5.0, 3.0, 4.0)])
def test_live_text_stays_live_where_steps_get_dearer(slowness: float, most_p90: float, most: float) -> None:
    stage = crowded(slowness, seconds=90.0)
    stage.play(95.0)
    late = delays(stage.speakers, start=20.0)
    assert len(late) > 4 * 2 * 65, "words were dropped"
    assert p90(late) < most_p90
    assert late[-1] < most
    stage.play(95.0 + SPEAKERS * 4 * PROCESSOR.final_window_cost_seconds * slowness)
    assert all(speaker.final_at is not None for speaker in stage.speakers), "finals come later, not never"


def test_the_cadence_stretches_evenly() -> None:
    stage = crowded(4.0)
    stage.play(30.0)
    before = [len(speaker.events) for speaker in stage.speakers]
    stage.play(90.0)
    steps = [len(speaker.events) - count for speaker, count in zip(stage.speakers, before, strict=True)]
    assert max(steps) <= 1.1 * min(steps)
    worst = [speaker.delays(30.0) for speaker in stage.speakers]
    assert max(map(max, worst)) < 1.3 * min(map(max, worst))


def test_final_passes_and_look_ahead_give_way_entirely_while_live_text_is_late() -> None:
    stage = crowded(5.0)
    stage.speakers[0].final.ahead_seconds = 3.0
    stage.play(30.0)
    worked = [speaker.final.worked_seconds for speaker in stage.speakers]
    stage.play(90.0)
    assert stage.most_waiting > GIVE_WAY_SECONDS
    assert [speaker.final.worked_seconds for speaker in stage.speakers] == worked
    assert stage.turns.finals_give_way
    stage.slowness = 1.0
    stage.play(92.0)
    assert sum(speaker.final.worked_seconds for speaker in stage.speakers) > sum(worked), "it recovers by itself"


def test_where_nobody_is_late_final_passes_have_what_they_need() -> None:
    stage = crowded(1.5)
    stage.play(120.0)
    assert max(speaker.place.windows_left() for speaker in stage.speakers) <= 1.0


def test_who_waits_for_a_final_gets_it_in_the_end_and_hears_meanwhile() -> None:
    """Others go on speaking, late all the time."""
    stage = crowded(5.0)
    waiting, *others = stage.speakers
    waiting.seconds = 20.0
    for _ in range(2):
        stage.speaker()
    stage.play(20.0 + LONGEST_WAIT_SECONDS - 1.0)
    assert waiting.final_at is None
    progress = [at for at, event in waiting.events if isinstance(event, FinalProgress)]
    assert len(progress) > LONGEST_WAIT_SECONDS / 4, "silence is taken for a failure"
    stage.play(400.0)
    assert waiting.final_at is not None
    assert max(p90(sorted(one.delays(100.0))) for one in others) < 5.0


def test_the_last_words_of_who_stops_are_not_passed_over() -> None:
    """Nothing more is recorded of them, so their unheard sound does not grow; their wait does."""
    stage = crowded(6.0)
    one = stage.speakers[0]
    one.seconds = 40.3
    for _ in range(3):
        stage.speaker()
    stage.play(60.0)
    assert max(one.delays(36.0)) < 6.5
    assert len(one.delays(36.0)) == 7


def test_steps_that_get_dearer_are_noticed_and_forgotten() -> None:
    slowness = Slowness()
    for second in range(LEAST_STEPS - 1):
        slowness.note(float(second), 1.0, 0.25)
    assert slowness.factor(7.0) == 1.0, "a few steps say nothing"
    slowness.note(7.0, 1.0, 0.25)
    assert slowness.factor(7.0) == pytest.approx(4.0)
    assert slowness.factor(8.0 + SLOWNESS_SECONDS) == 1.0
    for second in range(50, 60):
        slowness.note(float(second), 0.1, 0.25)
    assert slowness.factor(60.0) == 1.0, "quicker than measured is no promise"


@pytest.mark.parametrize(("slowness", "room"), [(1.0, 4), (3.0, 4), (4.0, 3), (100.0, 1)])
def test_fewer_have_room_while_steps_are_dearer(slowness: float, room: int) -> None:
    assert PROCESSOR.capacity(slowness) == room


def test_the_engine_sees_its_slowness() -> None:
    stage = crowded(1.0)
    assert stage.turns.slowness == pytest.approx(1.0)
    stage.slowness = 4.0
    stage.play(20.0 + 2 * SLOWNESS_SECONDS)
    assert stage.turns.slowness == pytest.approx(4.0, rel=0.05)
    stage.slowness = 1.0
    stage.play(stage.now + SLOWNESS_SECONDS + 1.0)
    assert stage.turns.slowness == pytest.approx(1.0, rel=0.05)


def test_an_episode_begins_late_and_ends_late() -> None:
    episode = Episode(2.0)
    episode.note(10.0, True)
    episode.note(10.2, False)
    episode.note(10.0 + GAP_SECONDS, True)
    episode.note(11.9, True)
    assert not episode.lasts
    episode.note(12.0, True)
    assert episode.lasts
    episode.note(12.0 + ON_TIME_SECONDS, False)
    assert episode.lasts
    episode.note(12.1 + ON_TIME_SECONDS, False)
    assert not episode.lasts


def test_two_hiccups_are_no_episode() -> None:
    episode = Episode(2.0)
    for second in (0.0, 4.0, 8.0):
        episode.note(second, True)
        episode.note(second + GAP_SECONDS + 0.1, False)
        assert not episode.lasts


def test_between_two_moments_of_a_long_step_it_lasts() -> None:
    episode = Episode(2.0)
    episode.note(0.0, True)
    episode.note(9.0, True)
    assert episode.lasts

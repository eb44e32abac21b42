"""Whose turn it is, with parts that only take (virtual) time: the same on any machine."""

from __future__ import annotations

import itertools

import pytest

from openmic.speech.engine.costs import Costs
from openmic.speech.engine.overload import LATE_SECONDS
from openmic.speech.engine.stream import EngineStream
from openmic.speech.types import SpeechFailed
from tests.support.scripted_turns import Stage

PROCESSOR = Costs(((1, 0.1), (4, 0.36)), 1.5)  # every stream costs nearly the same
DEVICE = Costs(((1, 0.02), (4, 0.025), (16, 0.04), (64, 0.1)), 0.15)  # a batch costs little more than one


def test_alone_one_is_stepped_as_soon_as_a_step_is_due() -> None:
    stage = Stage(PROCESSOR)
    stage.speaker()
    stage.play(60.0)
    assert stage.most_waiting < 0.5 + 0.1 + 0.15  # a step's audio, a step, and a piece of the final pass


def test_time_that_nobody_wants_goes_to_who_may_have_finished() -> None:
    stage = Stage(PROCESSOR)
    speaker = stage.speaker()
    speaker.final.ahead_seconds = 3.0
    stage.play(10.0)
    assert speaker.final.ahead_seconds <= 0.0
    assert stage.most_waiting < 0.5 + 0.1 + 0.15  # as without it


def test_who_may_have_finished_gets_no_time_that_somebody_wants() -> None:
    stage = Stage(PROCESSOR)
    for _ in range(2 * PROCESSOR.capacity()):
        stage.speaker().final.ahead_seconds = 3.0
    stage.play(5.0)  # all are due always
    before = sum(speaker.final.ahead_seconds for speaker in stage.speakers)
    stage.play(30.0)
    assert sum(speaker.final.ahead_seconds for speaker in stage.speakers) == before > 0.0


@pytest.mark.slow
@pytest.mark.parametrize("costs", [PROCESSOR, DEVICE])
def test_at_capacity_everyone_is_stepped_and_windows_are_done_in_time(costs: Costs) -> None:
    stage = Stage(costs)
    speakers = [stage.speaker() for _ in range(costs.capacity())]
    stage.play(75.0)
    assert stage.most_waiting < 2.5
    behind = [speaker.place.windows_left() for speaker in speakers]
    assert max(behind) <= 1.0, "a window was not done before the next was due"


def test_a_small_processor_steps_one_at_a_time_and_a_device_all() -> None:
    for costs, most in ((Costs(((1, 0.1), (4, 0.4)), 1.5), 1), (DEVICE, 32)):
        stage = Stage(costs)
        for _ in range(most if most > 1 else 4):
            stage.speaker()
        stage.play(10.0)
        assert max(stage.live.batches) == most


def test_who_waits_longest_is_next() -> None:
    stage = Stage(Costs(((1, 0.4), (2, 0.8)), 1.0))
    early, late = stage.speaker(), stage.speaker()
    stage.play(0.6)  # both are due, one at a time
    assert stage.live.batches[:1] == [1]
    waited = early if early.stream.waiting_seconds() > late.stream.waiting_seconds() else late
    before = waited.stream.waiting_seconds()
    stage.play(stage.now + 0.3)
    assert waited.stream.waiting_seconds() < before


def test_too_many_share_what_there_is() -> None:
    """Twice the capacity: every one is late, none is starved."""
    stage = Stage(PROCESSOR)
    speakers = [stage.speaker() for _ in range(2 * PROCESSOR.capacity())]
    stage.play(60.0)
    stage.play(90.0)
    rounds = 1.5 * 2 / (1.0 - 0.5)  # finals take half at most
    assert stage.most_waiting < rounds + 1.0
    assert all(speaker.stream.waiting_seconds() < rounds + 1.0 for speaker in speakers)


def test_of_those_who_wait_for_finals_the_one_nearest_its_end_is_first() -> None:
    stage = Stage(PROCESSOR)
    long, short = stage.speaker(seconds=20.0), stage.speaker(seconds=20.0)
    third = stage.speaker(seconds=20.0)
    stage.play(40.0)
    times = sorted(at for one in (long, short, third) if (at := one.final_at) is not None)
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert len(times) == 3
    assert min(gaps) > 0.4 * PROCESSOR.final_window_cost_seconds, "they were walked side by side, so all end late"


def test_a_long_file_does_not_hold_up_a_short_recordings_final() -> None:
    stage = Stage(PROCESSOR)
    file = stage.speaker(speed=1000.0, seconds=600.0)
    stage.play(1.0)
    short = stage.speaker(seconds=5.0)
    stage.play(12.0)
    assert short.final_at is not None
    assert file.final_at is None
    stage.play(120.0)
    assert file.final_at is not None


def test_a_file_sent_quickly_does_not_slow_speakers_down() -> None:
    stage = Stage(PROCESSOR)
    stage.speaker()
    stage.play(5.0)
    stage.play(20.0)
    alone = stage.most_waiting
    stage.speaker(speed=20.0)  # goes on and on
    stage.play(60.0)
    assert stage.most_waiting < alone + 0.6


def test_many_who_catch_up_are_stepped_together_where_a_batch_costs_little_more() -> None:
    """As after another replica's death: its speakers resume here all at once, with what they said meanwhile."""
    stage = Stage(DEVICE)
    came = [stage.speaker(speed=1000.0, seconds=25.0) for _ in range(24)]
    while not all(speaker.stream.live_over for speaker in came):
        stage.play(stage.now + 0.05)
    assert stage.live.batches[:3] == [24, 24, 24]
    assert stage.now < 0.5  # one by one: two seconds


def test_a_speaker_who_fell_behind_is_caught_up_at_once() -> None:
    stage = Stage(PROCESSOR)
    one = stage.speaker()
    stage.play(5.0)
    stage.now += 20.0  # the machine stood still
    one.hear()
    assert one.place.late_seconds(stage.now) > LATE_SECONDS
    for _ in range(3):
        stage.speaker()
    stage.play(stage.now + 6.0)
    assert one.place.late_seconds(stage.now) < LATE_SECONDS


def test_finals_are_worked_off_while_people_speak() -> None:
    """So that at stop one window is left, not three."""
    stage = Stage(PROCESSOR)
    speakers = [stage.speaker(seconds=74.0) for _ in range(4)]
    stage.play(74.0)
    assert max(speaker.place.windows_left() for speaker in speakers) < 1.3
    stage.play(100.0)
    waits = sorted(speaker.final_at - 74.0 for speaker in speakers if speaker.final_at is not None)
    assert len(waits) == 4
    assert waits[-1] < 4 * PROCESSOR.final_window_cost_seconds + 2.0


def test_the_estimate_of_waiting_finals() -> None:
    stage = Stage(PROCESSOR)
    places = [stage.speaker(seconds=8.0).place for _ in range(2)]
    stage.play(8.0)
    assert stage.turns.finals_seconds(places) == []
    while not all(place.stream.final.ended for place in places):
        stage.play(stage.now + 0.05)
    estimates = stage.turns.finals_seconds(places)
    assert len(estimates) == 2
    assert estimates == sorted(estimates)
    assert 0 < estimates[0] <= PROCESSOR.final_window_cost_seconds
    stage.play(stage.now + 10.0)
    assert stage.turns.finals_seconds(places) == []


@pytest.mark.parametrize("part", ["plan", "step_input", "apply_step", "send", "send_progress"])
def test_a_stream_at_fault_fails_alone(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever of its parts raises, in the one thread that all streams share."""
    stage = Stage(PROCESSOR)
    bad, good = stage.speaker(), stage.speaker()
    bad.seconds = good.seconds = 40.0
    raised, whole = [], getattr(EngineStream, part)

    def broken(stream: EngineStream, *arguments: object) -> object:
        if stream is not bad.stream:
            return whole(stream, *arguments)
        raised.append(part)
        raise RuntimeError("at fault")

    monkeypatch.setattr(EngineStream, part, broken)
    stage.play(60.0)
    assert len(raised) <= 2  # once more, where it was one of a batch; and it cannot be told either where it cannot send
    assert bad.stream.over
    assert bad.final_at is None
    if part != "send":
        (failure,) = [event for _, event in bad.events if isinstance(event, SpeechFailed)]
        assert failure.error.code == "engine_failed"
    assert good.final_at is not None

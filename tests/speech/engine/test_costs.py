"""How many can speak at once: the model's arithmetic, and the measurement with parts that take a known time."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from whisper.tokenizer import get_tokenizer

import openmic.speech.engine.calibration as capacity
import openmic.speech.engine.stream as streams
from openmic.audio.types import SAMPLE_RATE
from openmic.speech.engine.costs import MOST_LOAD, STEP_EVERY_SECONDS, Costs, describe_capacity
from openmic.speech.engine.thread import WhisperEngine
from openmic.speech.live.hypothesis import Hypothesis, StepCache, StepInput
from openmic.speech.types import Word
from tests.support.scripted_turns import ScriptedFinal, Stage

FINAL: Any = SimpleNamespace(decoder=SimpleNamespace(rows_together=None, windows_together=1))


def replace_final_pass(monkeypatch: pytest.MonkeyPatch, passes: Any) -> None:
    """In the measurement, and in the streams that it steps."""
    monkeypatch.setattr(capacity, "FinalPass", passes)
    monkeypatch.setattr(streams, "FinalPass", passes)


KNOWN = Costs(((1, 0.1), (4, 0.25), (16, 0.85)), 0.9)


def test_a_steps_time_is_a_line_between_and_behind_what_was_measured() -> None:
    times = [KNOWN.step_cost_seconds(speakers) for speakers in (1, 2, 4, 10, 16, 20)]
    assert times == pytest.approx([0.1, 0.15, 0.25, 0.55, 0.85, 1.05])
    assert Costs(((1, 0.1),), 1.0).step_cost_seconds(3) == pytest.approx(0.3)
    assert Costs(((1, 0.1), (4, 0.08)), 1.0).step_cost_seconds(8) == pytest.approx(0.1), (
        "a larger batch is never quicker"
    )


def test_capacity_is_what_fits_into_the_time() -> None:
    most = KNOWN.capacity()
    assert KNOWN.load(most) <= MOST_LOAD < KNOWN.load(most + 1)
    assert KNOWN.load(3) == pytest.approx(0.2 / 1.5 + 3 * 0.9 / 27)


def test_one_may_always_speak_and_nothing_is_promised_far_beyond_the_measured() -> None:
    assert Costs(((1, 5.0),), 60.0).capacity() == 1
    assert Costs(((1, 0.001), (4, 0.001)), 0.001).capacity() == 16


@pytest.mark.parametrize("due", [1, 2, 5, 12])
def test_batches_bring_words_soonest(due: int) -> None:
    flat, steep = Costs(((1, 0.1), (4, 0.1)), 1.0), Costs(((1, 0.1), (4, 0.4)), 1.0)
    assert flat.batch(due) == due
    assert steep.batch(due) == 1
    assert Costs(((1, 0.1), (4, 0.25)), 1.0).batch(0) == 0


def test_measuring_replays_steps_and_one_window(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(Costs(((1, 0.1), (4, 0.3)), 1.6))
    replace_final_pass(monkeypatch, lambda parts, recording, options, ended=False: _final(stage, recording))
    told: list[float] = []
    measured = capacity.measure(stage.live, FINAL, (1, 4), told.append, [lambda: stage.now])
    assert [count for count, _ in measured.steps] == [1, 4]
    assert [seconds for _, seconds in measured.steps] == pytest.approx([0.1, 0.3])
    assert measured.final_window_cost_seconds == pytest.approx(1.6)
    assert stage.live.batches == [1] * 5 + [4] * 5
    assert told == sorted(told)
    assert told[-1] < 1


def test_more_streams_than_are_served_together_are_measured_in_several_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(Costs(((1, 0.1), (2, 0.2), (4, 0.3)), 1.6))
    replace_final_pass(monkeypatch, lambda parts, recording, options, ended=False: _final(stage, recording))
    parts: Any = SimpleNamespace(decoder=SimpleNamespace(rows_together=4, windows_together=1))
    memories: dict[int, StepCache] = {}
    step = stage.live.step

    def keeping(requests: Sequence[StepInput]) -> list[Hypothesis]:
        for memory in (request.memory for request in requests):
            assert memory is not None
            memory.settled.slot = object()  # as a GPU's encoder leaves it
            memories[id(memory)] = memory
        return step(requests)

    monkeypatch.setattr(stage.live, "step", keeping)
    measured = capacity.measure(stage.live, parts, (1, 6), clocks=[lambda: stage.now])
    assert stage.live.batches == [1] * 5 + [4, 2] * 5
    assert measured.step_cost_seconds(6) == pytest.approx(0.5)
    assert len(memories) == 1 + 6
    assert not any(memory.settled.slot for memory in memories.values())  # speakers need it


def test_others_work_on_the_machine_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(Costs(((1, 0.1),), 1.6))
    replace_final_pass(monkeypatch, lambda parts, recording, options, ended=False: _final(stage, recording))
    clocks = [lambda: 5.0 * stage.now, lambda: stage.now]
    measured = capacity.measure(stage.live, FINAL, (1,), clocks=clocks)
    assert measured.final_window_cost_seconds == pytest.approx(1.6)
    assert measured.step_cost_seconds(1) == pytest.approx(0.1)


def test_where_nothing_writes_a_draft_first_a_window_counts_as_with_live_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one, without, is not what speakers cost: there each word is a pass, and kernels are loaded."""
    stage, given = Stage(Costs(((1, 0.1),), 1.6)), []
    words = tuple(Word(f" word{place}", place / 4, place / 4 + 0.2, 0.9) for place in range(2 * capacity.MISHEARD))

    def passes(parts: Any, recording: Any, options: Any, ended: bool = False, live_tokens: Any = ()) -> Any:
        given.append(list(live_tokens))
        stage.costs = Costs(((1, 0.1),), 0.2 if live_tokens else 1.6)
        passed = _final(stage, recording)
        passed.result = lambda: SimpleNamespace(segments=[SimpleNamespace(words=words)])
        return passed

    replace_final_pass(monkeypatch, passes)
    parts: Any = SimpleNamespace(
        decoder=FINAL.decoder, vocabulary=SimpleNamespace(any=get_tokenizer(multilingual=True))
    )
    measured = capacity.measure(stage.live, parts, (1,), clocks=[lambda: stage.now], drafted=True)
    assert measured.final_window_cost_seconds == pytest.approx(0.2)
    assert given[:-1] == [[]] * (len(given) - 1)
    assert len(given[-1]) == len(words) - 2


def test_a_slow_machine_does_not_measure_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(Costs(((1, 3.0), (4, 12.0)), 40.0))
    replace_final_pass(monkeypatch, lambda parts, recording, options, ended=False: _final(stage, recording))
    measured = capacity.measure(stage.live, FINAL, (1, 4), clocks=[lambda: stage.now])
    assert stage.live.batches == [1, 1]
    assert measured.capacity() == 1


def test_a_measurement_is_given_up_when_somebody_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(Costs(((1, 0.1), (4, 0.3)), 1.6))
    replace_final_pass(monkeypatch, lambda parts, recording, options, ended=False: _final(stage, recording))
    answers = {"a live step": lambda: len(stage.live.batches) < 3, "a window": lambda: stage.now < 2.5}
    for where, nobody in answers.items():
        with pytest.raises(capacity.CalibrationInterrupted):
            capacity.measure(stage.live, FINAL, (1, 4), clocks=[lambda: stage.now], still_idle=nobody)
        assert (len(stage.live.batches) == 3) == (where == "a live step")


def _final(stage: Stage, recording: Any) -> Any:
    final = ScriptedFinal(stage, recording)
    final.ended = True
    return final


def test_the_clip_is_speech_of_a_useful_length() -> None:
    samples = capacity.speech_clip()
    seconds = capacity.FIRST_STEP_SECONDS + capacity.COUNTED_STEPS * STEP_EVERY_SECONDS
    assert seconds < len(samples) / SAMPLE_RATE < capacity.SPEECH_SECONDS
    assert np.max(np.abs(samples)) > 0.1


def test_the_owner_is_told_in_words() -> None:
    assert [describe_capacity(speakers) for speakers in (1, 40)] == [
        "1 speaker at once",
        "40 speakers at once",
    ]


def test_a_loaded_engine_knows_its_capacity(engine: WhisperEngine) -> None:
    assert engine.capacity is not None
    assert engine.capacity >= 1
    stats = engine.stats()
    assert (stats.capacity, stats.late, stats.finals_waiting) == (engine.capacity, False, 0)
    assert stats.next_final_seconds is None
    assert engine.info.device_name == "CPU"

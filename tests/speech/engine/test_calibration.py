"""The costs are measured again while nobody speaks, and the middle of the newest measurements counts."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import openmic.speech.engine.calibration as measured
from openmic.speech.engine.calibration import (
    FIRST_IDLE_SECONDS,
    LONGEST_IDLE_SECONDS,
    Measured,
)
from openmic.speech.engine.costs import MOST_LOAD, STEP_EVERY_SECONDS, Costs
from openmic.speech.engine.thread import EngineParts, WhisperEngine
from openmic.speech.types import ModelInfo


def costs(speakers: int) -> Costs:
    """Of a device on which so many can speak at once."""
    found = Costs(((1, 0.9 * MOST_LOAD * STEP_EVERY_SECONDS / speakers),), 0.01)
    assert found.capacity() == min(speakers, 4), "the largest batch measured has one stream"
    return found


class Idle:
    """An idle engine's measurements, on a clock of its own."""

    def __init__(self, *found: Costs | Exception | None, first: Costs | None) -> None:
        self.now = 0.0
        self.at: list[float] = []
        self.found = list(found)
        self.measured = Measured(first, self.again, lambda: self.now)

    def again(self, still_idle: Callable[[], bool]) -> Costs | None:
        assert still_idle()
        self.at.append(self.now)
        found = self.found.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds)):
            self.now += 1.0
            self.measured.idle(lambda: True)


def test_a_slow_moment_at_the_start_does_not_last() -> None:
    idle = Idle(costs(4), costs(4), costs(1), costs(3), costs(4), costs(4), first=costs(1))
    assert idle.measured.capacity == 1
    idle.wait(FIRST_IDLE_SECONDS)
    assert idle.measured.capacity == 1, "of two measurements the dearer counts"
    idle.wait(2 * FIRST_IDLE_SECONDS)
    assert idle.measured.capacity == 4
    idle.wait(4 * FIRST_IDLE_SECONDS + 8 * FIRST_IDLE_SECONDS)
    assert idle.measured.capacity == 3, "1 1 3 4 4"
    idle.wait(16 * FIRST_IDLE_SECONDS + 32 * FIRST_IDLE_SECONDS)
    assert idle.measured.capacity == 4, "4 1 3 4 4: the first ones are forgotten"


def test_it_measures_ever_more_seldom_and_not_while_somebody_is_there() -> None:
    idle = Idle(*[costs(2)] * 12, first=costs(2))
    idle.wait(FIRST_IDLE_SECONDS - 1)
    idle.measured.busy()
    idle.wait(FIRST_IDLE_SECONDS - 1)
    assert idle.at == []
    idle.wait(1 + 2 * FIRST_IDLE_SECONDS)
    assert [later - before for before, later in zip(idle.at, idle.at[1:], strict=False)] == [2 * FIRST_IDLE_SECONDS]
    idle.wait(5 * LONGEST_IDLE_SECONDS)
    assert idle.at[-1] - idle.at[-2] == LONGEST_IDLE_SECONDS


def test_who_comes_does_not_change_what_was_measured() -> None:
    idle = Idle(None, costs(4), first=costs(2))
    idle.wait(2 * FIRST_IDLE_SECONDS)
    assert idle.at == [FIRST_IDLE_SECONDS, 2 * FIRST_IDLE_SECONDS], "given up once, and then done"


def test_a_measurement_that_fails_is_the_last(caplog: pytest.LogCaptureFixture) -> None:
    idle = Idle(RuntimeError("out of memory"), costs(4), first=costs(2))
    idle.wait(10 * FIRST_IDLE_SECONDS)
    assert idle.measured.capacity == 2
    assert len(idle.at) == 1
    assert "out of memory" in caplog.text


def test_what_was_never_measured_is_not_measured_later() -> None:
    idle = Idle(first=None)
    idle.wait(2 * FIRST_IDLE_SECONDS)
    assert (idle.measured.capacity, idle.measured.costs, idle.at) == (None, None, [])


def test_an_idle_engine_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measured, "FIRST_IDLE_SECONDS", 0.0)
    asked: list[bool] = []

    def again(still_idle: Callable[[], bool]) -> Costs:
        asked.append(still_idle())
        return costs(4)

    nothing: Any = None
    info = ModelInfo("scripted", "cpu", "float32", ("en", "de"), True, "CPU")
    shape = SimpleNamespace(n_audio_state=512, n_audio_layer=6, n_text_layer=6)
    decoder = SimpleNamespace(rows_together=None, windows_together=1)
    final: Any = SimpleNamespace(model=SimpleNamespace(dims=shape), decoder=decoder)
    engine = WhisperEngine(EngineParts(info, nothing, final), 0.5, 12.0, costs(1), again)
    try:
        deadline = time.monotonic() + 120
        while engine.capacity != 4:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert engine.stats().capacity == 4
    finally:
        engine.close()
    assert all(asked)

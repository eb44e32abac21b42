"""Final passes side by side, on a clock that a GPU moves only when it is waited for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import pytest
import torch

from openmic.speech.engine import final_work
from openmic.speech.engine.costs import Costs
from openmic.speech.engine.final_work import SLICE_SECONDS
from openmic.speech.engine.scheduler import Scheduler
from openmic.speech.final.passes import CheckedPass, WalkInStep, WindowPass
from openmic.speech.live.hypothesis import Hypothesis, StepInput
from openmic.speech.types import SpeechFailed
from tests.support.scripted_turns import PIECES, ScriptedFinal, ScriptedLive, Speaker, Stage

COSTS = Costs(((1, 0.02), (4, 0.025), (16, 0.04), (64, 0.1)), 1.0)


class LazyDevice:
    """A GPU: it is given work at no time, and does it while somebody waits."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.given: list[float] = []  # seconds of work since each mark, the newest last
        self.since_mark = 0.0

    def give(self, seconds: float) -> None:
        self.since_mark += seconds

    def mark(self) -> None:
        self.given.append(self.since_mark)
        self.since_mark = 0.0
        self._do(len(self.given) - 1)

    def drain(self) -> None:
        self._do(len(self.given))

    def everything(self) -> None:
        """What a copy to the host waits for."""
        self.mark()
        self.drain()

    def _do(self, count: int) -> None:
        self.stage.now += sum(self.given[:count])
        del self.given[:count]


class QueuedFinal(ScriptedFinal):
    """A final pass whose work is queued on a lazy device."""

    device: LazyDevice

    def _work(self) -> None:
        self.device.give(self.stage.costs.final_window_cost_seconds / PIECES)


class QueuedLive(ScriptedLive):
    """Live steps on a lazy device: at their end they copy to the host, and wait for all that was queued before."""

    device: LazyDevice
    longest = 0.0

    def step(self, requests: Sequence[StepInput]) -> list[Hypothesis]:
        began = self.stage.now
        self.device.give(self.stage.costs.step_cost_seconds(len(requests)))
        self.device.everything()
        self.longest = max(self.longest, self.stage.now - began)
        self.batches.append(len(requests))
        return [self._heard(request) for request in requests]


def longest_step(waits: bool) -> float:
    """Time of the longest live step beside one who waits for a long final."""
    stage = Stage(COSTS)
    device, live = LazyDevice(stage), QueuedLive(stage)
    stage.live, live.device = live, device
    stage.turns = Scheduler(live, COSTS, lambda: stage.now, queue=device if waits else None)
    long = stage.speaker(speed=1000.0, seconds=300.0)
    final = QueuedFinal(stage, long.clip)
    final.device = device
    long.final = long.stream.final = final  # type: ignore[assignment]
    long.stream.walk = final.walk()  # type: ignore[assignment]
    speakers = [stage.speaker() for _ in range(3)]
    stage.play(30.0)
    assert not any(isinstance(event, SpeechFailed) for one in speakers for _, event in one.events)
    return live.longest


def test_a_slice_ends_when_the_device_has_worked_for_its_time() -> None:
    """Without waiting, a whole window is queued in no time, and the next live step pays for it."""
    assert longest_step(waits=True) < COSTS.step_cost_seconds(4) + 1e-6
    assert longest_step(waits=False) > 2 * SLICE_SECONDS


class SteppedFinal(ScriptedFinal):
    """A final pass that asks for ``PIECES`` passes a window, as a real one does."""

    silent_pieces = 3  # of the encoder, before the first pass

    def walk(self) -> Iterator[Any]:
        while True:
            while not self.ready():
                yield "waiting"
            frames = min(3000, len(self.recording) // 160 - self.state.seek)
            if frames <= 0:
                return
            for _ in range(self.silent_pieces):
                self.stage.now += 0.001
                yield "working"
            for _ in range(PIECES):
                answer = yield cast(Any, wanted(self))
                assert isinstance(answer, CheckedPass)
            self.state.seek += frames if self.ended else 2700


class Batches:
    """In the place of the decoder: a pass costs the same for any number of windows."""

    def __init__(self, stage: Stage, room: int = 100) -> None:
        self.stage, self.room = stage, room
        self.sizes: list[int] = []
        self.broken: Any = None

    def __call__(self, walks: Sequence[WalkInStep]) -> None:
        finals = [cast(Any, walk.wanted).row for walk in walks]
        self.sizes.append(len(walks))
        if len(walks) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if self.broken in finals:
            raise RuntimeError("at fault")
        self.stage.now += COSTS.final_window_cost_seconds / PIECES
        for walk in walks:
            walk.wanted, walk.answer = None, CheckedPass([1], [0.0], [], 0.0)


def wanted(final: Any) -> WindowPass:
    nothing: Any = None
    return WindowPass(nothing, nothing, final, (), (), (), 0.0, None)


@pytest.fixture
def stepped(monkeypatch: pytest.MonkeyPatch) -> tuple[Stage, Batches]:
    stage = Stage(COSTS)
    stage.turns = Scheduler(stage.live, COSTS, lambda: stage.now, finals_together=4)
    batches = Batches(stage)
    monkeypatch.setattr(final_work, "answer_together", batches)
    return stage, batches


def recording(stage: Stage, seconds: float | None, speed: float = 1000.0) -> Speaker:
    speaker = stage.speaker(speed, seconds)
    final = SteppedFinal(stage, speaker.clip)
    speaker.final = speaker.stream.final = final  # type: ignore[assignment]
    speaker.stream.walk = final.walk()  # type: ignore[assignment]
    return speaker


def test_windows_of_several_streams_are_decoded_side_by_side(stepped: tuple[Stage, Batches]) -> None:
    stage, batches = stepped
    speakers = [recording(stage, 20.0) for _ in range(6)]
    stage.play(10.0)
    assert all(speaker.final_at is not None for speaker in speakers)
    assert max(batches.sizes) == 4
    assert sum(batches.sizes) == 6 * PIECES
    assert len(batches.sizes) < 3 * PIECES  # one after the other it would be six windows' passes


def test_a_window_costs_its_part_of_the_time(stepped: tuple[Stage, Batches]) -> None:
    stage, _ = stepped
    for _ in range(4):
        recording(stage, None, speed=1.0)
    stage.play(90.0)
    assert stage.turns._finals.window_cost_seconds < 0.6  # of 1.0 alone, on its way to 0.25


def test_passes_for_which_there_is_no_memory_are_done_by_fewer_from_then_on(
    stepped: tuple[Stage, Batches], caplog: pytest.LogCaptureFixture
) -> None:
    stage, batches = stepped
    batches.room = 2
    speakers = [recording(stage, 20.0) for _ in range(4)]
    stage.play(20.0)
    assert all(speaker.final_at is not None for speaker in speakers)
    (failed,) = [place for place, size in enumerate(batches.sizes) if size > 2]
    assert max(batches.sizes[failed + 1 :]) == batches.sizes[failed] // 2
    assert f"at most {batches.sizes[failed] // 2} final windows" in caplog.text


def test_a_stream_at_fault_fails_alone_though_it_was_one_of_several(
    stepped: tuple[Stage, Batches], caplog: pytest.LogCaptureFixture
) -> None:
    stage, batches = stepped
    speakers = [recording(stage, 20.0) for _ in range(4)]
    batches.broken = speakers[1].final
    stage.play(20.0)
    assert [speaker.final_at is not None for speaker in speakers] == [True, False, True, True]
    (failure,) = [event for _, event in speakers[1].events if isinstance(event, SpeechFailed)]
    assert failure.error.code == "engine_failed"


def test_live_steps_do_not_wait_for_windows_side_by_side(stepped: tuple[Stage, Batches]) -> None:
    stage, _ = stepped
    for _ in range(4):
        recording(stage, 300.0)
    for _ in range(4):
        stage.speaker()
    stage.play(20.0)
    assert stage.most_waiting < 0.5 + 2 * SLICE_SECONDS + COSTS.final_window_cost_seconds / PIECES + 0.2

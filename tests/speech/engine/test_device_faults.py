"""A GPU that is full or lost: fewer are let in, nobody's stream ends in silence, and the owner is told."""

from __future__ import annotations

import contextlib
import copy
import gc
import logging
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from openmic.audio.types import SAMPLE_RATE, SpeechBoundary
from openmic.errors import OpenmicError
from openmic.speech.device import DeviceLost
from openmic.speech.engine import thread
from openmic.speech.engine.costs import Costs
from openmic.speech.engine.live_step import LiveDecoder
from openmic.speech.engine.thread import EngineParts, WhisperEngine
from openmic.speech.final.walk import FinalModel
from openmic.speech.live.hypothesis import Hypothesis, StepInput
from openmic.speech.model.decoder import Decoder
from openmic.speech.types import ModelInfo, SpeechEvent, SpeechFailed, SpeechOptions
from tests.support.clip import Clip
from tests.support.scripted_turns import ScriptedFinal, ScriptedLive, Stage
from tests.support.waiting import wait_until

COSTS = Costs(((1, 0.02), (4, 0.025), (16, 0.04)), 0.15)


class Small(ScriptedLive):
    """A device with memory for so many streams."""

    room = 3

    def step(self, requests: Sequence[StepInput]) -> list[Hypothesis]:
        if len(requests) > self.room:
            self.batches.append(len(requests))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().step(requests)


def test_a_step_that_finds_no_memory_is_halved_and_none_is_so_large_again(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(COSTS)
    stage.live = Small(stage)
    stage.turns._live = stage.live
    speakers = [stage.speaker() for _ in range(8)]
    with caplog.at_level(logging.WARNING):
        stage.play(10.0)
    assert stage.turns.fits == 2
    assert [batch for batch in stage.live.batches if batch > 2] == [8, 4, 4]  # both halves once, and never again
    assert stage.most_waiting < 2.0
    assert not any(isinstance(event, SpeechFailed) for speaker in speakers for _, event in speaker.events)
    assert [record.getMessage().split(":")[1] for record in caplog.records] == [
        f" at most {count} streams are stepped together from now on" for count in (4, 2)
    ]


class FullAtTimes(ScriptedFinal):
    """A final pass that finds no memory in its first tries."""

    failures = 1

    def _work(self) -> None:
        if self.failures:
            self.failures -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        super()._work()


@pytest.mark.parametrize(("failures", "ends_well"), [(1, True), (2, False)])
def test_a_final_window_that_finds_no_memory_is_begun_again_once(failures: int, ends_well: bool) -> None:
    stage = Stage(COSTS)
    speaker = stage.speaker(seconds=5.0)
    final = FullAtTimes(stage, speaker.clip)
    final.failures = failures
    speaker.final = speaker.stream.final = final  # type: ignore[assignment]
    speaker.stream.walk = final.walk()  # type: ignore[assignment]
    stage.play(10.0)
    assert speaker.stream.over
    assert (speaker.final_at is not None) == ends_well
    failed = [event.error.code for _, event in speaker.events if isinstance(event, SpeechFailed)]
    assert failed == ([] if ends_well else ["engine_failed"])


@pytest.mark.parametrize("where", ["live", "final", "pause"])
def test_a_failure_after_which_the_device_computes_nothing_is_no_streams_fault(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dead(*_: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")

    stage = Stage(COSTS)
    stage.turns._device_computes = lambda: False
    speaker = stage.speaker(seconds=None if where == "pause" else 2.0)
    if where == "pause":
        speaker.final.ahead_seconds = 1.0
    owner, name = (ScriptedLive, "step") if where == "live" else (ScriptedFinal, "_work")
    monkeypatch.setattr(owner, name, dead)
    with pytest.raises(DeviceLost):
        stage.play(10.0)
    assert not speaker.stream.over


def parts_of(model: Any, live: LiveDecoder, decoder: Any = None) -> EngineParts:
    """An engine's parts around ``live``; the final pass is never asked for anything."""
    final = copy.copy(model)
    if decoder is not None:
        final = FinalModel("base", model.model, model.encoder, decoder, model.vocabulary)
    return EngineParts(ModelInfo("base", "cpu", "float32", ("en",), True), live, final)


class Dead:
    """A live decoder on a device that computes nothing any more."""

    def step(self, requests: Any) -> Any:
        raise RuntimeError("CUDA error: device-side assert triggered")


def test_an_engine_whose_device_is_lost_says_so_to_everybody(
    final_model: FinalModel, caplog: pytest.LogCaptureFixture
) -> None:
    engine = WhisperEngine(parts_of(final_model, Dead()), 0.5, 12.0, COSTS)
    engine._turns._device_computes = lambda: False
    events: list[SpeechEvent] = []
    try:
        with caplog.at_level(logging.ERROR):
            streams = [
                engine.open(Clip(np.zeros(2 * SAMPLE_RATE, np.float32)), SpeechOptions("en"), events.append)
                for _ in range(2)
            ]
            streams[0].add_boundaries([SpeechBoundary("started", 0.0)])
            wait_until(lambda: len(events) == 2)
        assert [event.error.code for event in events if isinstance(event, SpeechFailed)] == ["device_lost"] * 2
        with pytest.raises(OpenmicError) as refused:
            engine.open(Clip(np.zeros(0, np.float32)), SpeechOptions("en"), events.append)
        assert refused.value.code == "device_lost"
        assert "restart the runtime" in refused.value.hint
        assert engine.stats().problems == ("the GPU computes nothing any more",)
        assert engine.capacities() == ()  # asking the device would fail
        assert "restart the runtime" in caplog.text
    finally:
        engine.close()


def test_an_engine_lets_in_as_many_as_the_device_has_memory_for(final_model: FinalModel) -> None:
    engine = WhisperEngine(parts_of(final_model, Dead()), 0.5, 12.0, COSTS)
    try:
        assert engine.capacity is not None
        assert engine.capacity > 5
        engine._turns.fits = 5
        assert engine.capacity == 5
    finally:
        engine.close()


def test_the_engines_thread_makes_its_gpu_the_current_one(
    final_model: FinalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The current device is each thread's own; without it, streams and recordings are on GPU 0."""
    used: list[tuple[str, str]] = []

    @contextlib.contextmanager
    def noted(device: torch.device) -> Iterator[None]:
        used.append((threading.current_thread().name, str(device)))
        yield

    monkeypatch.setattr(thread, "on_own_stream", noted)
    parts = parts_of(final_model, Dead())
    engine = WhisperEngine(replace(parts, info=replace(parts.info, device="cuda:1")), 0.5, 12.0, COSTS)
    engine.close()
    assert used == [("openmic-engine", "cuda:1")]


@pytest.mark.parametrize("gone", ["stopped", "abandoned"])
def test_the_model_is_given_back_though_a_session_keeps_its_stream(final_model: FinalModel, gone: str) -> None:
    """A session, and with it a stopped service that a variable holds, keeps its stream while it can be downloaded."""
    decoder = copy.copy(final_model.decoder)
    held = weakref.ref(decoder)
    engine = WhisperEngine(parts_of(final_model, Dead(), decoder), 0.5, 12.0, COSTS)
    stream = engine.open(Clip(np.zeros(0, np.float32)), SpeechOptions("en"), lambda event: None)
    del decoder
    assert isinstance(held(), Decoder)
    if gone == "abandoned":
        stream.abandon()
        wait_until(lambda: engine.stats().streams == 0)
    engine.close()
    gc.collect()
    assert held() is None
    stream.finish()  # what a session may still call


def test_measuring_again_makes_room_again(final_model: FinalModel) -> None:
    """Who had taken the memory may have given it back."""
    measured: list[Costs] = []

    def again(still_idle: Callable[[], bool]) -> Costs:
        measured.append(COSTS)
        return COSTS

    engine = WhisperEngine(parts_of(final_model, Dead()), 0.5, 12.0, COSTS, again)
    try:
        engine._turns.fits = 1
        engine._measured._pause = 0.0
        wait_until(lambda: bool(measured) and engine._turns.fits is None)
    finally:
        engine.close()

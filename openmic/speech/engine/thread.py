"""One thread that owns the model and shares it among all streams; ``scheduler.py`` says whose turn it is."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numba
import torch

from openmic.speech.device import DeviceLost, DeviceQueue, computes, device_report, free_memory, on_own_stream
from openmic.speech.engine.calibration import Measured, Recalibrate
from openmic.speech.engine.costs import Costs
from openmic.speech.engine.estimates import capacities, shape_of
from openmic.speech.engine.live_step import LiveDecoder
from openmic.speech.engine.overload import HELD_BACK_SECONDS, LATE_FOR_SECONDS, LATE_SECONDS, Episode
from openmic.speech.engine.scheduled_stream import ScheduledStream
from openmic.speech.engine.scheduler import Scheduler
from openmic.speech.engine.stream import EngineStream
from openmic.speech.final.walk import FinalModel
from openmic.speech.glossary import FINAL_TERM_TOKENS, Glossary
from openmic.speech.live.hypothesis import TimedWord
from openmic.speech.model.tokens import encode_text
from openmic.speech.problems import PROBLEMS
from openmic.speech.types import (
    CommittedText,
    EngineStats,
    FinalWindow,
    ModelCapacity,
    ModelInfo,
    OnEvent,
    Recording,
    SpeechOptions,
)
from openmic.threads import SupervisedThread

log = logging.getLogger(__name__)

LOST = "the GPU computes nothing any more"
IDLE_SECONDS = 0.25  # how long an idle engine sleeps at most
STATS_SECONDS = 10.0  # span of the busy figure
LATE_THREAD_SECONDS = 180.0  # without the end of a turn: no step and no slice of a final takes nearly so long
CLOSE_SECONDS = 30.0  # how long close() waits for a step in progress


@dataclass(frozen=True, slots=True)
class EngineParts:
    """What an engine works with; without one, as in the benchmarks, the program that has loaded them may.

    Attributes:
        info: the model's name, device and dtype.
        live: decodes live windows.
        final: what final passes work with.
    """

    info: ModelInfo
    live: LiveDecoder
    final: FinalModel


class WhisperEngine:
    """Implements ``openmic.speech.types.Engine`` with openai-whisper's weights.

    Args:
        parts: what both passes work with; the engine's thread is the only one to use them from now on.
        live_step_every_seconds: new audio after which a live step is due.
        max_live_window_seconds: longest window of a live step.
        costs: what was measured at warm-up; None: not measured.
        recalibrate: measures again while nobody speaks; None: never.
    """

    def __init__(
        self,
        parts: EngineParts,
        live_step_every_seconds: float,
        max_live_window_seconds: float,
        costs: Costs | None = None,
        recalibrate: Recalibrate | None = None,
    ) -> None:
        self._info = parts.info
        self._final: FinalModel | None = parts.final
        dims = parts.final.model.dims
        self._shape = shape_of(dims.n_audio_state, dims.n_audio_layer, dims.n_text_layer)
        self._device = torch.device(parts.info.device)
        self._turns = Scheduler(
            parts.live,
            costs,
            device_computes=lambda: computes(self._device),
            queue=DeviceQueue(self._device),
            rows_together=parts.final.decoder.rows_together,
            finals_together=parts.final.decoder.windows_together,
        )
        self._measured = Measured(costs, recalibrate)
        self._live_step_every_seconds = live_step_every_seconds
        self._max_live_window_seconds = max_live_window_seconds
        self._places: list[ScheduledStream] = []
        self._late = Episode(LATE_FOR_SECONDS)
        self._finals_held = Episode(HELD_BACK_SECONDS)
        self._condition = threading.Condition()
        self._changed = False
        self._closing = False
        self._lost = False
        self._work: deque[tuple[float, float]] = deque()
        self._thread = SupervisedThread("openmic-engine", self._run, LATE_THREAD_SECONDS)
        self._thread.start()

    @property
    def info(self) -> ModelInfo:
        """The model that runs here."""
        return self._info

    @property
    def capacity(self) -> int | None:
        """See ``Engine.capacity``."""
        costs, fits = self._measured.costs, self._turns.fits
        if costs is None:
            return fits
        most = costs.capacity(self._turns.slowness)
        return most if fits is None else min(most, fits)

    def capacities(self) -> Sequence[ModelCapacity]:
        """See ``Engine.capacities``."""
        costs = self._measured.costs
        if costs is None or self._lost:
            return ()
        return capacities(self._info.name, self._shape, costs, device_report(self._info.device))

    def unused(self, options: SpeechOptions) -> str:
        """See ``Engine.unused``."""
        parts = self._final
        return "" if parts is None else Glossary(parts.vocabulary, options, FINAL_TERM_TOKENS).unused()

    def open(
        self,
        recording: Recording,
        options: SpeechOptions,
        on_event: OnEvent,
        committed: Sequence[CommittedText] = (),
        walked: Sequence[FinalWindow] = (),
    ) -> EngineStream:
        """See ``Engine.open``."""
        if self._lost:
            raise PROBLEMS.error("device_lost")
        parts = self._final
        if parts is None:
            raise PROBLEMS.error("engine_closed")
        parts.vocabulary.check(options)
        stream = EngineStream.of(
            parts,
            recording,
            options,
            on_event,
            self._live_step_every_seconds,
            self._max_live_window_seconds,
            self._wake,
        )
        if walked:
            stream.go_on_final(walked)
        if committed:
            tokenizer = parts.vocabulary.any
            words = [word for one in committed for word in one.words]
            stream.go_on(
                [TimedWord(w.word, tuple(encode_text(tokenizer, w.word)), w.start, w.end, w.probability) for w in words]
            )
        with self._condition:
            if self._closing:
                raise PROBLEMS.error("engine_closed")
            if self._lost:
                raise PROBLEMS.error("device_lost")
            self._places.append(ScheduledStream(stream, time.monotonic()))
        return stream

    def stats(self) -> EngineStats:
        """See ``Engine.stats``."""
        now = time.monotonic()
        with self._condition:
            places = list(self._places)
            busy = sum(end - max(start, now - STATS_SECONDS) for start, end in self._work if end > now - STATS_SECONDS)
            self._late.note(now, any(place.late_seconds(now) > LATE_SECONDS for place in places))  # in a long step too
        memory = torch.cuda.memory_reserved(self._device) if self._device.type == "cuda" else None
        finals = self._turns.finals_seconds(places)
        return EngineStats(
            streams=len(places),
            busy=min(1.0, busy / STATS_SECONDS),
            step_seconds=self._turns.step_seconds,
            batch_size=self._turns.batch_size,
            lag_seconds=max((place.stream.waiting_seconds() for place in places), default=0.0),
            memory_bytes=memory,
            capacity=self.capacity,
            slowness=self._turns.slowness,
            late=self._late.lasts,
            finals_held=self._finals_held.lasts,
            finals_waiting=len(finals),
            finals_seconds=sum(finals),
            next_final_seconds=finals[0] if finals else None,
            problems=(*self._thread.problems, LOST) if self._lost else self._thread.problems,
        )

    def close(self) -> None:
        """See ``Engine.close``."""
        with self._condition:
            self._closing = True
        self._wake()
        self._thread.join(CLOSE_SECONDS)

    def _wake(self) -> None:
        with self._condition:
            self._changed = True
            self._condition.notify()

    def _run(self) -> None:
        numba.set_num_threads(1)  # for whisper's time warping: it is too small to be shared out
        with on_own_stream(self._device), torch.inference_mode():
            while not self._closing:
                worked = False
                with self._thread.turn():
                    worked = self._turn()
                if worked:
                    continue
                with self._condition:
                    if not self._changed and not self._closing:
                        self._condition.wait(IDLE_SECONDS)
        self._end_all("engine_closed")
        self._let_go()

    def _end_all(self, code: str) -> None:
        """End all streams with a problem."""
        with self._condition:
            left, self._places = self._places, []
        for place in left:
            with self._thread.turn():
                place.stream.fail(PROBLEMS.error(code))
            place.stream.release()

    def _lose_device(self, loss: DeviceLost) -> None:
        """Tell everybody who is here, and the owner, and let nobody in any more."""
        with self._condition:
            self._lost = True
        log.error("%s; restart the runtime, or the server's process", LOST, exc_info=loss)
        self._end_all("device_lost")

    def _let_go(self) -> None:
        """Give the model's memory back, also where somebody still holds this engine, as a notebook's variable does."""
        self._final = None
        self._turns.close()
        self._measured.close()
        free_memory()

    def _turn(self) -> bool:
        """Do a turn's work while there is a device to do it on; False if there was nothing to do."""
        if self._lost:
            return False
        try:
            return self._work_on()
        except DeviceLost as loss:
            self._lose_device(loss)
            return True

    def _work_on(self) -> bool:
        """Let go of those who have gone, and do the most urgent piece of work; False if there was nothing to do."""
        with self._condition:
            self._changed = False
            before, places = self._places, [p for p in self._places if not (p.stream.over or p.stream.abandoned)]
            self._places = list(places)
        for place in before:
            if place not in places:
                place.stream.release()
        if places:
            self._measured.busy()
        else:
            if self._measured.idle(lambda: not (self._places or self._closing)):
                self._turns.fits = None  # who had taken the memory may have given it back
            self._turns.costs = self._measured.costs
        started = time.monotonic()
        worked = self._turns.take(places)
        self._note(started, places)
        return worked

    def _note(self, start: float, places: Sequence[ScheduledStream]) -> None:
        """Remember that the engine worked since ``start``, and whether streams are late and finals give way."""
        end = time.monotonic()
        late = any(place.late_seconds(end) > LATE_SECONDS for place in places)
        with self._condition:
            self._work.append((start, end))
            while self._work and self._work[0][1] < end - STATS_SECONDS:
                self._work.popleft()
            self._late.note(end, late)
            self._finals_held.note(end, self._turns.finals_give_way)

"""One thread that owns the model and shares it among all streams.

Live steps come first, those of all streams in one batch; an idle engine steps as soon as a stream has half a second of
new audio, a busy one finds more new audio when it comes round, so that delay does not grow. Final passes fill the time
between, a small piece at a time; they are guaranteed a share, so that a busy engine finishes them too.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence

import numba
import torch

from openmic.audio.types import SAMPLE_RATE
from openmic.errors import OpenmicError
from openmic.speech.final import FinalModel, FinalPass
from openmic.speech.hypothesis import HypothesisDecoder, TimedWord
from openmic.speech.problems import PROBLEMS
from openmic.speech.stream import EngineStream, Plan
from openmic.speech.types import CommittedText, EngineStats, ModelInfo, OnEvent, Recording, SpeechOptions

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.25  # how long an idle engine sleeps at most
SLICE_SECONDS = 0.05  # how long final passes work before live steps are looked at again
FINAL_SHARE = 0.3  # of the time, guaranteed to final passes while live steps are always due
STATS_SECONDS = 10.0  # span of the busy figure
CLOSE_SECONDS = 30.0  # how long close() waits for a step in progress

Planned = tuple[EngineStream, Plan]


class WhisperEngine:
    """Implements ``openmic.speech.types.Engine`` with openai-whisper's weights.

    Args:
        info: the model's name, device and dtype.
        live: decodes live windows.
        final: what final passes work with.
        step_seconds: new audio after which a live step is due.
        window_seconds: longest window of a live step.
    """

    def __init__(
        self,
        info: ModelInfo,
        live: HypothesisDecoder,
        final: FinalModel,
        step_seconds: float,
        window_seconds: float,
    ) -> None:
        self._info = info
        self._live = live
        self._final = final
        self._step_samples = round(step_seconds * SAMPLE_RATE)
        self._window_samples = round(window_seconds * SAMPLE_RATE)
        self._streams: list[EngineStream] = []
        self._condition = threading.Condition()
        self._changed = False
        self._closing = False
        self._final_debt = 0.0
        self._work: deque[tuple[float, float]] = deque()
        self._step_seconds = 0.0
        self._batch_size = 0
        self._thread = threading.Thread(target=self._run, name="openmic-engine", daemon=True)
        self._thread.start()

    @property
    def info(self) -> ModelInfo:
        """The model that runs here."""
        return self._info

    def open(
        self,
        recording: Recording,
        options: SpeechOptions,
        on_event: OnEvent,
        said: Sequence[CommittedText] = (),
    ) -> EngineStream:
        """See ``Engine.open``."""
        self._final.vocabulary.check(options)
        final = FinalPass(self._final, recording, options)
        stream = EngineStream(
            recording,
            options,
            final,
            final.walk(),
            on_event,
            self._wake,
            self._step_samples,
            self._window_samples,
        )
        if said:
            encode = self._final.vocabulary.any.encode
            words = [word for committed in said for word in committed.words]
            stream.go_on([TimedWord(w.word, tuple(encode(w.word)), w.start, w.end, w.probability) for w in words])
        with self._condition:
            if self._closing:
                raise PROBLEMS.error("engine_closed")
            self._streams.append(stream)
        return stream

    def stats(self) -> EngineStats:
        """See ``Engine.stats``."""
        now = time.monotonic()
        with self._condition:
            streams = list(self._streams)
            busy = sum(end - max(start, now - STATS_SECONDS) for start, end in self._work if end > now - STATS_SECONDS)
        memory = torch.cuda.memory_reserved() if self._info.device.startswith("cuda") else None
        return EngineStats(
            streams=len(streams),
            busy=min(1.0, busy / STATS_SECONDS),
            step_seconds=self._step_seconds,
            batch_size=self._batch_size,
            lag_seconds=max((stream.waiting_seconds() for stream in streams), default=0.0),
            memory_bytes=memory,
        )

    def close(self) -> None:
        """See ``Engine.close``."""
        with self._condition:
            self._closing = True
        self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join(CLOSE_SECONDS)

    def _wake(self) -> None:
        with self._condition:
            self._changed = True
            self._condition.notify()

    def _run(self) -> None:
        numba.set_num_threads(1)  # for whisper's time warping: it is too small to be shared out
        with torch.inference_mode():
            while not self._closing:
                with self._condition:
                    self._changed = False
                    self._streams = [s for s in self._streams if not (s.over or s.abandoned)]
                    streams = list(self._streams)
                started = time.monotonic()
                if self._turn(streams):
                    self._note(started, time.monotonic())
                    continue
                with self._condition:
                    if not self._changed and not self._closing:
                        self._condition.wait(IDLE_SECONDS)
        with self._condition:
            left, self._streams = self._streams, []
        for stream in left:
            stream.fail(PROBLEMS.error("engine_closed"))

    def _turn(self, streams: Sequence[EngineStream]) -> bool:
        """Do the most urgent piece of work; False if there was none."""
        planned = self._planned(streams)
        fresh = [(stream, plan) for stream, plan in planned if not plan.behind]
        finals = self._finals(streams)
        owed = self._final_debt > SLICE_SECONDS
        if fresh and not (owed and (finals or len(fresh) < len(planned))):
            started = time.monotonic()
            self._live_step(fresh)
            self._final_debt += FINAL_SHARE * (time.monotonic() - started)
        elif finals or planned:
            started = time.monotonic()
            catching_up = [item for item in planned if item[1].behind][:1]
            if catching_up:
                self._live_step(catching_up)
            if finals:
                self._final_slice(finals[0])
            self._final_debt = max(0.0, self._final_debt - (time.monotonic() - started))
        else:
            self._final_debt = 0.0
            return False
        return True

    def _planned(self, streams: Sequence[EngineStream]) -> list[Planned]:
        """The live steps wanted now; endpoints that need no decoding are carried out on the way."""
        planned = []
        for stream in streams:
            while plan := stream.plan():
                if stream.needs_decoding(plan):
                    planned.append((stream, plan))
                    break
                stream.close_utterance(plan)
        return planned

    def _finals(self, streams: Sequence[EngineStream]) -> list[EngineStream]:
        """Streams whose final pass has work, those that wait for their final text first."""
        ready = []
        for stream in streams:
            stream.final.ended = stream.live_over
            if stream.final.ready():
                ready.append(stream)
        return sorted(ready, key=lambda stream: not stream.final.ended)

    def _live_step(self, planned: Sequence[Planned]) -> None:
        started = time.monotonic()
        try:
            hypotheses = self._live.step([stream.request(plan) for stream, plan in planned])
        except Exception as error:
            if len(planned) == 1:
                self._fail(planned[0][0], error)
            else:  # find the one that fails; the others go on
                for item in planned:
                    self._live_step([item])
            return
        for (stream, plan), hypothesis in zip(planned, hypotheses, strict=True):
            stream.take(plan, hypothesis)
        self._step_seconds = time.monotonic() - started
        self._batch_size = len(planned)

    def _final_slice(self, stream: EngineStream) -> None:
        deadline = time.monotonic() + SLICE_SECONDS
        try:
            for pause in stream.walk:
                now = time.monotonic()
                if pause == "waiting" or now > deadline:
                    stream.tell_progress(now)
                    return
            result = stream.final.result()
        except Exception as error:
            self._fail(stream, error)
            return
        stream.send(result)
        stream.over = True

    def _fail(self, stream: EngineStream, error: Exception) -> None:
        log.exception("the model failed on a stream", exc_info=error)
        if not isinstance(error, OpenmicError):
            error = PROBLEMS.error("engine_failed", detail=type(error).__name__)
        stream.fail(error)

    def _note(self, start: float, end: float) -> None:
        with self._condition:
            self._work.append((start, end))
            while self._work and self._work[0][1] < end - STATS_SECONDS:
                self._work.popleft()

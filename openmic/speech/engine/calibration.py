"""What the two passes cost here: measured at warm-up with real parts and real speech, and again while nobody speaks.

On a processor that others use at that moment a clock on the wall measures them too. There, the processor time of this
process counts where it is less: all threads' together, so it is never less than what an idle machine would have needed.

A measurement is true of its moment: a shared machine may be half as quick a minute later, or have been while the model
was loaded. So an idle engine measures again, seldom and ever more seldom, and of the newest measurements the middle one
counts. A speaker who comes meanwhile does not wait for it: it is given up at the next step.
"""

from __future__ import annotations

import logging
import time
import wave
from collections import deque
from collections.abc import Callable, Sequence
from importlib.resources import files
from statistics import median
from typing import Protocol

import numpy as np
import torch

from openmic.audio.types import SAMPLE_RATE, Samples, SpeechBoundary
from openmic.speech.engine.costs import STEP_EVERY_SECONDS, Costs, describe_capacity
from openmic.speech.engine.live_step import LiveDecoder, run_step
from openmic.speech.engine.stream import EngineStream
from openmic.speech.final.passes import walk_together
from openmic.speech.final.walk import FinalModel, FinalPass, TimedTokens
from openmic.speech.model.tokens import encode_text
from openmic.speech.types import FinalText, SpeechOptions

log = logging.getLogger(__name__)

CPU_BATCHES = (1, 4)
GPU_BATCHES = (1, 4, 16, 64, 256)
FIRST_STEP_SECONDS = 4.0  # of audio: the windows begin so short, without a draft; this step is not counted
# Steps after it, at the slowest cadence; their median counts: a load is made of usual steps, not of quick ones.
COUNTED_STEPS = 4
LONGEST_SECONDS = 4.0  # measuring longer than this leaves out what it can: a slow machine has no room for many anyway
MISHEARD = 12  # one word of so many is another one in the final text
SPEECH_SECONDS = 23.0  # in the final window; twice the clip would look like a loop to its compression test


FIRST_IDLE_SECONDS = 60.0  # without anybody, before the costs are measured again; twice as long after each time,
LONGEST_IDLE_SECONDS = 3600.0  # at most
NEWEST = 5  # measurements, of which the middle one counts
COMPARED_SPEAKERS = 4  # by whose load measurements are put in order

Clock = Callable[[], float]
CPU_CLOCKS: tuple[Clock, ...] = (time.perf_counter, time.process_time)
GPU_CLOCKS: tuple[Clock, ...] = (time.perf_counter,)


class Clip:
    """A recording in memory, of which ``length`` samples have been heard; a ``types.Recording``."""

    def __init__(self, samples: Samples, length: int | None = None) -> None:
        self._samples = samples
        self.length = len(samples) if length is None else length

    def __len__(self) -> int:
        return self.length

    def read(self, start: int, stop: int) -> Samples:
        """See ``types.Recording``."""
        return self._samples[max(start, 0) : max(min(stop, self.length), 0)]


class Recalibrate(Protocol):
    """Measures again."""

    def __call__(self, still_idle: Callable[[], bool]) -> Costs | None:
        """What the passes cost now, as long as ``still_idle`` says so; None: a speaker has come meanwhile."""


class CalibrationInterrupted(Exception):
    """A measurement was given up."""


def measure(
    live: LiveDecoder,
    final: FinalModel,
    batches: Sequence[int],
    progress: Callable[[float], None] = lambda done: None,
    clocks: Sequence[Clock] = (time.perf_counter,),
    still_idle: Callable[[], bool] = lambda: True,
    drafted: bool = False,
) -> Costs:
    """Replay speech through both passes, as the engine would, and time them. Compiles what compiles on the way.

    Args:
        live: decodes live windows.
        final: what final passes work with.
        batches: numbers of streams to measure, rising.
        progress: told the part that is done, in 0..1.
        clocks: in seconds; what the least of them says counts. The first also says when to stop measuring.
        still_idle: asked between steps whether the device is still free for this.
        drafted: the final window is done twice, and counts as it is with live text, as every speaker's has: where
            nothing writes a draft first (a GPU), each word of it is a pass without. The first time loads kernels. As
            many windows are done as are decoded side by side, and each counts as its part of their time.

    Raises:
        CalibrationInterrupted: it is not.
    """
    speech = np.resize(speech_clip(), round(SPEECH_SECONDS * SAMPLE_RATE))
    deadline = clocks[0]() + LONGEST_SECONDS
    steps: list[tuple[int, float]] = []
    for place, count in enumerate(batches):
        progress(place / (len(batches) + 1))
        if not steps or clocks[0]() < deadline:
            steps.append((count, _step_seconds(live, final, speech, count, clocks, deadline, still_idle)))
    progress(len(batches) / (len(batches) + 1))
    passed = FinalPass(final, Clip(speech), SpeechOptions(language="en"), ended=True)
    seconds = _walk_seconds([passed], clocks, still_idle)
    if drafted:
        live_tokens = _as_live_tokens(passed.result(), final)
        together = final.decoder.windows_together
        some = [
            FinalPass(final, Clip(speech), SpeechOptions(language="en"), ended=True, live_tokens=list(live_tokens))
            for _ in range(together)
        ]
        seconds = _walk_seconds(some, clocks, still_idle) / together
    return Costs(tuple(steps), seconds)


def _walk_seconds(some: Sequence[FinalPass], clocks: Sequence[Clock], still_idle: Callable[[], bool]) -> float:
    began = [clock() for clock in clocks]
    with torch.inference_mode():
        for _ in walk_together([one.walk() for one in some]) if len(some) > 1 else some[0].walk():
            _check(still_idle)
    return _elapsed(clocks, began)


def _as_live_tokens(text: FinalText, final: FinalModel) -> list[TimedTokens]:
    """What the live pass may have committed of a text: all but every ``MISHEARD``th word."""
    words = [word for segment in text.segments for word in segment.words]
    tokenizer = final.vocabulary.any
    return [
        (word.start, tuple(encode_text(tokenizer, word.word))) for place, word in enumerate(words) if place % MISHEARD
    ]


def _step_seconds(
    live: LiveDecoder,
    final: FinalModel,
    speech: Samples,
    count: int,
    clocks: Sequence[Clock],
    deadline: float,
    still_idle: Callable[[], bool],
) -> float:
    """The time of a live step of ``count`` streams that have been speaking for a while.

    It is several steps where more are not served together: a stream without a slot costs what it will cost.
    """
    most = final.decoder.rows_together or count
    clips = [Clip(speech, 0) for _ in range(count)]
    streams = [calibration_stream(clip, final) for clip in clips]
    times = []
    try:
        for place in range(1 + COUNTED_STEPS):
            _check(still_idle)
            for clip in clips:
                clip.length = round((FIRST_STEP_SECONDS + place * STEP_EVERY_SECONDS) * SAMPLE_RATE)
            due = [(stream, plan) for stream in streams if (plan := stream.due_step()) is not None]
            began = [clock() for clock in clocks]
            for first in range(0, len(due), most):
                run_step(live, due[first : first + most])
            times.append(_elapsed(clocks, began))
            if place and clocks[0]() > deadline:
                break
    finally:
        for stream in streams:
            stream.memory.clear()  # the next speaker's slots for settled states
    return median(times[1:])


def _check(still_idle: Callable[[], bool]) -> None:
    if not still_idle():
        raise CalibrationInterrupted


def _elapsed(clocks: Sequence[Clock], began: Sequence[float]) -> float:
    return min(clock() - start for clock, start in zip(clocks, began, strict=True))


def calibration_stream(clip: Clip, final: FinalModel) -> EngineStream:
    """A stream that speaks from its beginning, with the widest windows that are measured."""
    options = SpeechOptions(language="en")
    longest_seconds = 4 * FIRST_STEP_SECONDS
    stream = EngineStream.of(final, clip, options, lambda event: None, STEP_EVERY_SECONDS, longest_seconds)
    stream.add_boundaries([SpeechBoundary("started", 0.0)])
    return stream


def speech_clip() -> Samples:
    """The 15 s of speech that ship with the package (``sample_audio/quickstart.wav``); shape (n,), float32."""
    with (files("openmic.speech") / "data" / "speech.wav").open("rb") as file, wave.open(file) as reader:
        pcm = np.frombuffer(reader.readframes(reader.getnframes()), dtype="<i2")
    return pcm.astype(np.float32) / 32768.0


class Measured:
    """The costs that count.

    Args:
        first: as measured at warm-up; None: not measured, and never.
        again: measures again; None: what was measured first stays.
        clock: in seconds, monotonic.
    """

    def __init__(
        self, first: Costs | None, again: Recalibrate | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._newest = deque([] if first is None else [first], NEWEST)
        self._again = None if first is None else again
        self._clock = clock
        self._pause = FIRST_IDLE_SECONDS
        self._idle_since = clock()

    @property
    def costs(self) -> Costs | None:
        """The middle of the newest measurements; of an even number, the dearer of the middle two."""
        ordered = sorted(self._newest, key=lambda costs: costs.load(COMPARED_SPEAKERS))
        return ordered[len(ordered) // 2] if ordered else None

    @property
    def capacity(self) -> int | None:
        """How many may speak at once; None where that was not measured."""
        costs = self.costs
        return None if costs is None else costs.capacity()

    def close(self) -> None:
        """Measure no more, and let go of what it takes."""
        self._again = None

    def busy(self) -> None:
        """Somebody is there."""
        self._idle_since = self._clock()

    def idle(self, still_idle: Callable[[], bool]) -> bool:
        """Nobody is there: measure again if that has been so for long enough, and while ``still_idle`` says so.

        Returns:
            Whether that was done.
        """
        if self._again is None or self._clock() - self._idle_since < self._pause:
            return False
        before = self.capacity
        try:
            costs = self._again(still_idle)
        except RuntimeError as failure:  # torch's own errors, CUDA's and out of memory are all of this kind
            log.warning("measuring again has failed, what was measured before stays: %s", failure)
            self._again = None
            return False
        if costs is not None:
            self._newest.append(costs)
            self._pause = min(2 * self._pause, LONGEST_IDLE_SECONDS)
        self._idle_since = self._clock()
        if self.capacity is not None and self.capacity != before:
            log.info("measured again: about %s, not %s", describe_capacity(self.capacity), before)
        return costs is not None

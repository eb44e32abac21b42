"""How many people can speak at once: measured at warm-up, with the real parts and real speech.

The model: with ``n`` speakers every stream is stepped once in ``STEP_EVERY_SECONDS``, all in one batch, and every
``WINDOW_EVERY_SECONDS`` of a stream's audio its final pass has one window of 30 s to transcribe. So the device works

    load(n) = step(n) / STEP_EVERY_SECONDS + n * window / WINDOW_EVERY_SECONDS

of the time, where ``step(n)`` is the time of a live step of ``n`` streams and ``window`` that of a final window. The
capacity is the largest ``n`` whose load is at most ``MOST_LOAD``, and at least 1. The step's time is measured for a few
numbers of streams and taken as a straight line between and behind them; a capacity is not believed beyond
``BEYOND_MEASURED`` times the largest batch that was measured.

On a processor that others use at that moment a clock on the wall measures them too. There, the processor time of this
process counts where it is less: all threads' together, so it is never less than what an idle machine would have needed.
"""

from __future__ import annotations

import time
import wave
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from statistics import median
from typing import Protocol

import numpy as np
import torch

from openmic.audio.types import SAMPLE_RATE, Samples, SpeechBoundary
from openmic.speech.engine.stream import EngineStream, Plan
from openmic.speech.final.walk import FinalModel, FinalPass, TimedTokens
from openmic.speech.live.decode import Hypothesis, StepInput
from openmic.speech.model.tokens import encode_text
from openmic.speech.types import FinalText, SpeechOptions

STEP_EVERY_SECONDS = 1.5  # the slowest cadence at which live text is still live
WINDOW_EVERY_SECONDS = 27.0  # of audio: a final window is 30 s, and the next begins at its last whole sentence
MOST_LOAD = 0.56  # of the time; the rest is for the sessions' own work, and for when many want a step at once
BEYOND_MEASURED = 4
CPU_BATCHES = (1, 4)
GPU_BATCHES = (1, 4, 16, 64)
FIRST_STEP_SECONDS = 4.0  # of audio: the windows begin so short, without a draft; this step is not counted
# Steps after it, at the slowest cadence; their median counts: a load is made of usual steps, not of quick ones.
COUNTED_STEPS = 4
LONGEST_SECONDS = 4.0  # measuring longer than this leaves out what it can: a slow machine has no room for many anyway
MISHEARD = 12  # one word of so many is another one in the final text
SPEECH_SECONDS = 23.0  # in the final window; twice the clip would look like a loop to its compression test


Clock = Callable[[], float]
CPU_CLOCKS: tuple[Clock, ...] = (time.perf_counter, time.process_time)
GPU_CLOCKS: tuple[Clock, ...] = (time.perf_counter,)


class LiveDecoder(Protocol):
    """What decodes live windows: ``LiveStepDecoder``."""

    def step(self, requests: Sequence[StepInput]) -> list[Hypothesis]:
        """Decode all windows together; the answers are in the order of ``requests``."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What the two passes cost on a device.

    Attributes:
        steps: (streams in a batch, seconds of a live step), by rising numbers of streams; at least one.
        window_seconds: time of a final window.
    """

    steps: tuple[tuple[int, float], ...]
    window_seconds: float

    def step_seconds(self, streams: int) -> float:
        """Time of a live step of so many streams."""
        (near, cost), *others = self.steps
        slope = cost / near  # where one number alone was measured, each stream costs the same
        for count, seconds in others:
            slope = max(0.0, seconds - cost) / (count - near)
            if streams <= count:
                break
            near, cost = count, max(seconds, cost)
        return max(0.0, cost + slope * (streams - near))

    def load(self, streams: int) -> float:
        """Part of the time in which the device works for so many speakers."""
        return self.step_seconds(streams) / STEP_EVERY_SECONDS + streams * self.window_seconds / WINDOW_EVERY_SECONDS

    def capacity(self) -> int:
        """How many may speak at once; at least 1."""
        speakers = 1
        while speakers < BEYOND_MEASURED * self.steps[-1][0] and self.load(speakers + 1) <= MOST_LOAD:
            speakers += 1
        return speakers

    def batch(self, due: int) -> int:
        """How many of ``due`` streams to step together, so that words come soon.

        In ``k`` batches one round of all streams takes ``k * step(due / k)``. A word waits at most a round until its
        stream's turn comes, and then for its own batch. Where a batch costs little more than one stream (a GPU), that
        is least for one batch of all; where every stream costs the same (a processor), for single ones.
        """

        def longest_wait(size: int) -> float:
            return (-(-due // size) + 1) * self.step_seconds(size)

        return min(range(due, 0, -1), key=longest_wait) if due > 1 else due


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


class CalibrationInterrupted(Exception):
    """A measurement was given up."""


def measure(
    live: LiveDecoder,
    final: FinalModel,
    batches: Sequence[int],
    progress: Callable[[float], None] = lambda done: None,
    clocks: Sequence[Clock] = (time.perf_counter,),
    nobody: Callable[[], bool] = lambda: True,
    drafted: bool = False,
) -> Costs:
    """Replay speech through both passes, as the engine would, and time them. Compiles what compiles on the way.

    Args:
        live: decodes live windows.
        final: what final passes work with.
        batches: numbers of streams to measure, rising.
        progress: told the part that is done, in 0..1.
        clocks: in seconds; what the least of them says counts. The first also says when to stop measuring.
        nobody: asked between steps whether the device is still free for this.
        drafted: the final window is done twice, and counts as it is with live text, as every speaker's has: where
            nothing writes a draft first (a GPU), each word of it is a pass without. The first time loads kernels.

    Raises:
        SomebodyCame: it is not.
    """
    speech = np.resize(speech_clip(), round(SPEECH_SECONDS * SAMPLE_RATE))
    deadline = clocks[0]() + LONGEST_SECONDS
    steps: list[tuple[int, float]] = []
    for place, count in enumerate(batches):
        progress(place / (len(batches) + 1))
        if not steps or clocks[0]() < deadline:
            steps.append((count, _step_seconds(live, final, speech, count, clocks, deadline, nobody)))
    progress(len(batches) / (len(batches) + 1))
    passed = FinalPass(final, Clip(speech), SpeechOptions(language="en"), ended=True)
    seconds = _walk_seconds(passed, clocks, nobody)
    if drafted:
        heard = _as_heard(passed.result(), final)
        passed = FinalPass(final, Clip(speech), SpeechOptions(language="en"), ended=True, heard=heard)
        seconds = _walk_seconds(passed, clocks, nobody)
    return Costs(tuple(steps), seconds)


def _walk_seconds(passed: FinalPass, clocks: Sequence[Clock], nobody: Callable[[], bool]) -> float:
    began = [clock() for clock in clocks]
    with torch.inference_mode():
        for _ in passed.walk():
            _check(nobody)
    return _elapsed(clocks, began)


def _as_heard(text: FinalText, final: FinalModel) -> list[TimedTokens]:
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
    nobody: Callable[[], bool],
) -> float:
    """The time of a live step of ``count`` streams that have been speaking for a while."""
    clips = [Clip(speech, 0) for _ in range(count)]
    streams = [_stream(clip, final) for clip in clips]
    times = []
    for place in range(1 + COUNTED_STEPS):
        _check(nobody)
        for clip in clips:
            clip.length = round((FIRST_STEP_SECONDS + place * STEP_EVERY_SECONDS) * SAMPLE_RATE)
        planned: list[tuple[EngineStream, Plan]] = [(s, plan) for s in streams if (plan := s.plan()) is not None]
        began = [clock() for clock in clocks]
        hypotheses = live.step([stream.request(plan) for stream, plan in planned])
        times.append(_elapsed(clocks, began))
        for (stream, plan), hypothesis in zip(planned, hypotheses, strict=True):
            stream.take(plan, hypothesis)
        if place and clocks[0]() > deadline:
            break
    return median(times[1:])


def _check(nobody: Callable[[], bool]) -> None:
    if not nobody():
        raise CalibrationInterrupted


def _elapsed(clocks: Sequence[Clock], began: Sequence[float]) -> float:
    return min(clock() - start for clock, start in zip(clocks, began, strict=True))


def _stream(clip: Clip, final: FinalModel) -> EngineStream:
    options = SpeechOptions(language="en")
    passed = FinalPass(final, clip, options)
    stream = EngineStream(
        recording=clip,
        options=options,
        final=passed,
        walk=passed.walk(),
        on_event=lambda event: None,
        wake=lambda: None,
        step_samples=round(STEP_EVERY_SECONDS * SAMPLE_RATE),
        window_samples=round(4 * FIRST_STEP_SECONDS * SAMPLE_RATE),
    )
    stream.heard([SpeechBoundary("started", 0.0)])
    return stream


def describe_capacity(speakers: int) -> str:
    """A capacity as the owner is told it: "4 speakers at once"."""
    return f"{speakers} speaker{'' if speakers == 1 else 's'} at once"


def speech_clip() -> Samples:
    """The 15 s of speech that ship with the package (``sample_audio/quickstart.wav``); shape (n,), float32."""
    with (files("openmic.speech") / "data" / "speech.wav").open("rb") as file, wave.open(file) as reader:
        pcm = np.frombuffer(reader.readframes(reader.getnframes()), dtype="<i2")
    return pcm.astype(np.float32) / 32768.0

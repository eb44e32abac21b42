"""Many sessions in one batch, in virtual real time: the audio's clock is virtual, what a step takes is real.

Every session speaks the same reading, each a little later than the one before it. The clock moves on by what a live
step has really taken, so a device that is too slow shows as delay, and sessions that are due at the same time share a
step, as in the engine. Live text only: no final passes, no server.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.corpus.reading import Reading
from benchmarks.metrics.display import Display, Measured, measure, pooled
from benchmarks.simulated.virtual import EPSILON, PIECE_SAMPLES, GrowingRecording
from openmic.audio import VoiceActivity
from openmic.audio.types import SpeechBoundary
from openmic.settings import Settings
from openmic.speech.engine.live_step import run_step
from openmic.speech.engine.stream import EngineStream
from openmic.speech.final.walk import FinalModel
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.types import CommittedText, LiveText, SpeechEvent, SpeechOptions

SPREAD_SECONDS = 8.0  # from the first session's beginning to the last one's: their windows have all lengths
TICK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class LiveStep:
    """One batch.

    Attributes:
        sessions: how many.
        choices: rows of each pass of one token per row that it needed.
        seconds: what it took, or is said to have taken.
    """

    sessions: int
    choices: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Crowd:
    """What a number of sessions got.

    Attributes:
        sessions: how many.
        steps: all batches.
        seconds: of virtual time.
        measured: all sessions' words together.
    """

    sessions: int
    steps: tuple[LiveStep, ...]
    seconds: float
    measured: Measured

    @property
    def busy(self) -> float:
        """Part of the time in which the device worked."""
        return sum(step.seconds for step in self.steps) / self.seconds


Cost = Callable[[LiveStep], float]
"""What a step is said to take, given what it took."""


def really(step: LiveStep) -> float:
    """A step takes what it took."""
    return step.seconds


@dataclass(slots=True)
class _Session:
    """One stream on its way, on its own clock, which starts at ``begin``."""

    stream: EngineStream
    recording: GrowingRecording
    begin: float
    display: Display = field(default_factory=Display)
    pieces: int = 0

    def hear(self, now: float, boundaries: Sequence[Sequence[SpeechBoundary]]) -> None:
        """Take in all pieces that are complete by now, with what voice activity says after each."""
        until = min(math.floor((now - self.begin) / TICK_SECONDS + EPSILON), len(boundaries) - 1)
        while self.pieces < until:
            self.recording.length = min(self.recording.length + PIECE_SAMPLES, self.recording.whole)
            self.stream.add_boundaries(boundaries[self.pieces])
            self.pieces += 1
        if self.pieces == len(boundaries) - 1 and not self.stream.finished:
            self.stream.add_boundaries(boundaries[-1])
            self.stream.finish()


def run(
    live: LiveStepDecoder,
    final: FinalModel,
    reading: Reading,
    sessions: int,
    settings: Settings,
    cost: Cost = really,
) -> Crowd:
    """Let so many sessions speak the reading; the live settings are read."""
    boundaries = _boundaries(reading, settings)
    now = 0.0
    events: list[tuple[_Session, SpeechEvent]] = []
    crowd = [
        _session(final, reading, settings, number * SPREAD_SECONDS / sessions, events) for number in range(sessions)
    ]
    choices: list[int] = []
    steps: list[LiveStep] = []

    @contextmanager
    def count(stage: str, rows: int) -> Iterator[None]:
        if stage == "choose":
            choices.append(rows)
        yield

    watched = live.observed(count)
    while not all(session.stream.live_over for session in crowd):
        planned = []
        for session in crowd:
            session.hear(now, boundaries)
            if plan := session.stream.due_step():
                planned.append((session.stream, plan))
        if planned:
            choices.clear()
            began = time.perf_counter()
            run_step(watched, planned)
            step = LiveStep(len(planned), tuple(choices), time.perf_counter() - began)
            step = LiveStep(step.sessions, step.choices, cost(step))
            steps.append(step)
            now += step.seconds
        else:
            now = (math.floor(now / TICK_SECONDS + EPSILON) + 1) * TICK_SECONDS
        for session, event in events:
            if isinstance(event, CommittedText):
                session.display.commit(now - session.begin, event.text)
            elif isinstance(event, LiveText):
                session.display.live(now - session.begin, event.text)
        events.clear()
    return Crowd(sessions, tuple(steps), now, pooled([_measured(session, reading, now) for session in crowd]))


def _session(
    final: FinalModel, reading: Reading, settings: Settings, begin: float, events: list[tuple[_Session, SpeechEvent]]
) -> _Session:
    recording, options = GrowingRecording(reading.samples), SpeechOptions(language=reading.language or None)
    stream = EngineStream.of(
        final,
        recording,
        options,
        lambda event: events.append((session, event)),
        settings.live_step_seconds,
        settings.live_window_seconds,
    )
    session = _Session(stream, recording, begin)
    return session


def _boundaries(reading: Reading, settings: Settings) -> list[list[SpeechBoundary]]:
    """What voice activity says after each piece of the reading, and last, when it is over."""
    activity = VoiceActivity(settings.endpoint_silence_seconds)
    pieces = range(0, len(reading.samples), PIECE_SAMPLES)
    said = [list(activity.push(reading.samples[place : place + PIECE_SAMPLES])) for place in pieces]
    return [*said, list(activity.flush())]


def _measured(session: _Session, reading: Reading, now: float) -> Measured:
    return measure(session.display.history, reading.words, reading.text, now - session.begin)

"""Streams, a live decoder and final passes that only take time, on a clock that only they move: for tests of turns.

Nothing is recognised and nobody waits: ``Stage.play`` lets the turns work until a moment of the virtual clock, while
every speaker's recording grows as time passes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np

from openmic.audio.types import SAMPLE_RATE, SpeechBoundary
from openmic.speech.engine.calibration import Clip
from openmic.speech.engine.costs import Costs
from openmic.speech.engine.scheduled_stream import ScheduledStream
from openmic.speech.engine.scheduler import Scheduler
from openmic.speech.engine.stream import EngineStream
from openmic.speech.final.speech_timeline import SpeechTimeline
from openmic.speech.final.walk_state import WalkState
from openmic.speech.live.hypothesis import Hypothesis, StepInput, TimedWord
from openmic.speech.types import CommittedText, FinalText, LiveText, SpeechEvent, SpeechOptions

HOP = 160  # samples of a mel frame
WINDOW_FRAMES = 3000
PIECES = 20  # in which a final window's time passes


class ScriptedFinal:
    """A ``FinalPass`` whose windows take as long as ``Costs`` and the stage's slowness say."""

    def __init__(self, stage: Stage, recording: Clip) -> None:
        self.stage = stage
        self.recording = recording
        self.ended = False
        self.state = WalkState()
        self.live_tokens: list[Any] = []
        self.timeline = SpeechTimeline()
        self.ahead_seconds = 0.0  # of work that a pause gives to do
        self.worked_seconds = 0.0

    def ready(self) -> bool:
        return self.ended or len(self.recording) >= (self.state.seek + WINDOW_FRAMES) * HOP

    def walk(self) -> Iterator[str]:
        while True:
            while not self.ready():
                yield "waiting"
            frames = min(WINDOW_FRAMES, len(self.recording) // HOP - self.state.seek)
            if frames <= 0:
                return
            for _ in range(PIECES):
                self._work()
                yield "working"
            self.state.seek += frames if self.ended else 2700

    def speculate(self) -> bool:
        if self.ahead_seconds <= 0.0:
            return False
        self._work()
        self.ahead_seconds -= self.stage.costs.final_window_cost_seconds / PIECES
        return True

    def _work(self) -> None:
        seconds = self.stage.costs.final_window_cost_seconds / PIECES * self.stage.slowness
        self.stage.now += seconds
        self.worked_seconds += seconds

    def speculation_complete(self) -> bool:
        return False

    def text(self) -> str:
        return ""

    def result(self) -> FinalText:
        return FinalText("", "en", len(self.recording) / SAMPLE_RATE, (), "scripted")


def word(half: int) -> TimedWord:
    """What is said in that half of a second: its number."""
    return TimedWord(f" {half}", (half,), half / 2, half / 2 + 0.4, 1.0)


class ScriptedLive:
    """A live decoder that hears a word every half second and takes as long as ``Costs`` say."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.batches: list[int] = []

    def step(self, requests: Sequence[StepInput]) -> list[Hypothesis]:
        self.batches.append(len(requests))
        self.stage.now += self.stage.costs.step_cost_seconds(len(requests)) * self.stage.slowness
        return [self._heard(request) for request in requests]

    def _heard(self, request: StepInput) -> Hypothesis:
        end = request.start + len(request.samples) / SAMPLE_RATE
        first = request.prefix[-1] + 1 if request.prefix else math.ceil(2 * request.start - 0.2)
        return Hypothesis(tuple(word(half) for half in range(first, int(2 * end - 0.8))), "en", 0.0, 0.0, False)


class Speaker:
    """One who speaks without a pause from ``begins`` on; sent ``speed`` times as fast as spoken."""

    def __init__(self, stage: Stage, begins: float, speed: float) -> None:
        self.stage = stage
        self.begins = begins
        self.speed = speed
        self.seconds: float | None = None  # how much audio there is in all; None: no end
        self.clip = Clip(np.broadcast_to(np.float32(0.0), 3600 * SAMPLE_RATE), 0)
        self.final = ScriptedFinal(stage, self.clip)
        self.events: list[tuple[float, SpeechEvent]] = []
        self.stream = EngineStream(
            recording=self.clip,
            options=SpeechOptions("en"),
            final=cast(Any, self.final),
            walk=cast(Any, self.final.walk()),
            on_event=lambda event: self.events.append((stage.now, event)),
            wake=lambda: None,
            step_samples=SAMPLE_RATE // 2,
            window_samples=12 * SAMPLE_RATE,
        )
        self.stream.add_boundaries([SpeechBoundary("started", 0.0)])
        self.place = ScheduledStream(self.stream, begins)

    def hear(self) -> None:
        """Have as much audio as there is by now; stop at its end."""
        heard = (self.stage.now - self.begins) * self.speed
        done = self.seconds is not None and heard >= self.seconds
        self.clip.length = round((self.seconds if done and self.seconds is not None else heard) * SAMPLE_RATE)
        if done and not self.stream.finished:
            self.stream.finish()

    def delays(self, start: float = 0.0) -> list[float]:
        """From a word's end to the moment at which it is first shown; of the words said after ``start``, in order."""
        shown: dict[float, float] = {}  # when a word's end was said, when it was shown
        for at, event in self.events:
            if isinstance(event, CommittedText | LiveText):
                for one in event.words:
                    shown.setdefault(self.begins + one.end, at)
        return [at - said for said, at in sorted(shown.items()) if said >= start]

    @property
    def final_at(self) -> float | None:
        """When its final text came."""
        return next((at for at, event in self.events if isinstance(event, FinalText)), None)


class Stage:
    """A clock, costs, and whoever speaks."""

    def __init__(self, costs: Costs) -> None:
        self.costs = costs
        self.now = 0.0
        self.slowness = 1.0
        self.live = ScriptedLive(self)
        self.turns = Scheduler(self.live, costs, lambda: self.now)
        self.speakers: list[Speaker] = []
        self.most_waiting = 0.0

    def speaker(self, speed: float = 1.0, seconds: float | None = None) -> Speaker:
        """One more begins to speak now."""
        speaker = Speaker(self, self.now, speed)
        speaker.seconds = seconds
        self.speakers.append(speaker)
        return speaker

    def play(self, until: float) -> None:
        """Let time pass; an idle device looks again after 10 ms."""
        self.most_waiting = 0.0
        while self.now < until:
            for speaker in self.speakers:
                speaker.hear()
            present = [speaker for speaker in self.speakers if not speaker.stream.over]
            waiting = [speaker.stream.waiting_seconds() for speaker in present if speaker.speed == 1.0]
            self.most_waiting = max([self.most_waiting, *waiting])
            if not self.turns.take([speaker.place for speaker in present]):
                self.now += 0.01

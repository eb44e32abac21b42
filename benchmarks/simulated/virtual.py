"""A live engine in virtual time: the same figures on any machine, however busy it is.

No thread and no server: audio grows by 0.1 s of virtual time, a live step is due when the policy wants one, and takes a
fixed pretend time, after which its text shows. What the model says is real.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from openmic.audio import SAMPLE_RATE, VoiceActivity
from openmic.audio.types import Samples
from openmic.settings import Settings
from openmic.speech.engine.live_step import run_step
from openmic.speech.engine.stream import EngineStream
from openmic.speech.engine.thread import EngineParts
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.live.policy import CommitPolicy
from openmic.speech.types import FinalText, SpeechEvent, SpeechOptions, Term

PIECE_SAMPLES = SAMPLE_RATE // 10
EPSILON = 1e-6


@dataclass(slots=True)
class Work:
    """Processor seconds of live steps so far."""

    encoder: float = 0.0
    whole: float = 0.0
    steps: int = 0


@dataclass(slots=True)
class GrowingRecording:
    """Samples, over and over, of which only the first ``length`` have been heard."""

    samples: Samples
    laps: int = 1
    length: int = 0

    def __len__(self) -> int:
        return self.length

    @property
    def whole(self) -> int:
        """How many samples it will have."""
        return len(self.samples) * self.laps

    def read(self, start: int, stop: int) -> Samples:
        """See ``openmic.speech.types.Recording``."""
        places = np.arange(max(0, start), max(0, min(stop, self.length)))
        return self.samples.take(places, mode="wrap")


@dataclass(frozen=True, slots=True)
class Told:
    """What a stream said.

    Attributes:
        at: when, in virtual seconds.
        event: what.
        language: that the step which it comes from was decoded in.
    """

    at: float
    event: SpeechEvent
    language: str


class VirtualEngine:
    """Runs one stream after another through a loaded engine's live parts.

    Args:
        parts: of an engine that is not there, as ``load_parts`` gives them.
        settings: the live ones are read.
        cost: pretend time of a step, in seconds.
        language: that is asked for; None: detect it.
        policy: makes a stream's policy.
        vocabulary: of every stream.

    Attributes:
        work: of all streams together.
    """

    def __init__(
        self,
        parts: EngineParts,
        settings: Settings,
        cost: float,
        language: str | None,
        policy: Callable[[], CommitPolicy] = CommitPolicy,
        vocabulary: tuple[Term, ...] = (),
    ) -> None:
        self.work = Work()
        self.cost = cost
        self._live = cast(LiveStepDecoder, parts.live).observed(self._observe)
        self._final = parts.final
        self._settings = settings
        self._options = SpeechOptions(language=language, vocabulary=vocabulary)
        self._policy = policy
        self._stream: EngineStream | None = None

    def final(self) -> FinalText:
        """The final text of the recording that was played last."""
        assert self._stream is not None, "play one first"
        self._stream.final.ended = True
        with torch.inference_mode():
            for _ in self._stream.walk:
                pass
        return self._stream.final.result()

    @contextmanager
    def _observe(self, stage: str, rows: int) -> Iterator[None]:
        began = time.process_time()
        yield
        if stage == "encode":
            self.work.encoder += time.process_time() - began

    def play(self, recording: GrowingRecording) -> Iterator[Told]:
        """Stream a recording that nothing has been heard of yet; tells what shows, as it shows."""
        waiting: list[SpeechEvent] = []
        now, language = 0.0, self._options.language or ""
        stream = EngineStream.of(
            self._final,
            recording,
            self._options,
            waiting.append,
            self._settings.live_step_seconds,
            self._settings.live_window_seconds,
            policy=self._policy(),
        )
        self._stream = stream
        activity = VoiceActivity(self._settings.endpoint_silence_seconds)
        while not stream.live_over:
            self._hear(stream, recording, activity, now)
            plan = stream.due_step()
            if plan is None:
                now = (math.floor(now * 10 + EPSILON) + 1) / 10
            else:
                began = time.process_time()
                hypothesis = run_step(self._live, [(stream, plan)])[0]
                self.work.whole += time.process_time() - began
                self.work.steps += 1
                now += self.cost
                language = hypothesis.language
            yield from (Told(now, event, language) for event in waiting)
            waiting.clear()

    def _hear(self, stream: EngineStream, recording: GrowingRecording, activity: VoiceActivity, now: float) -> None:
        """Let the stream hear all pieces that are complete by now."""
        until = min(math.floor(now * 10 + EPSILON) * PIECE_SAMPLES, recording.whole)
        if now * SAMPLE_RATE >= recording.whole:
            until = recording.whole
        while recording.length < until:
            begin = recording.length
            recording.length = min(begin + PIECE_SAMPLES, until)
            stream.add_boundaries(activity.push(recording.read(begin, recording.length)))
        if until == recording.whole and not stream.finished:
            stream.add_boundaries(activity.flush())
            stream.finish()

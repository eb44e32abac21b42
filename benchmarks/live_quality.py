"""The live policy's quality in virtual time: the same figures on any machine, however busy it is.

    python -m benchmarks.live_quality [--clips] [--seconds N] [--model base] [--step 0.5] [--cost 0.3] [--show]

No thread and no server: audio grows by 0.1 s of virtual time, a live step is due when the policy wants one, and takes a
fixed pretend time, after which its text shows. What the model says is real. Encoder and decoder seconds are processor
seconds of this machine.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numba
import torch

from benchmarks.measures import Delay, Display, Measured, measure
from benchmarks.reading import Reading, join, load_reading
from benchmarks.recordings import jfk_clip, reading_clips, sample_clips, shared_folder
from openmic.audio import SAMPLE_RATE, VoiceActivity
from openmic.audio.types import Samples
from openmic.settings import Settings
from openmic.speech.encoder import Window, WindowEncoder
from openmic.speech.engine import WhisperEngine
from openmic.speech.final import FinalPass
from openmic.speech.hypothesis import HypothesisDecoder
from openmic.speech.load import load_engine
from openmic.speech.stream import EngineStream
from openmic.speech.types import CommittedText, LiveText, SpeechEvent, SpeechOptions

PIECE_SAMPLES = SAMPLE_RATE // 10
EPSILON = 1e-6


@dataclass(slots=True)
class Work:
    """Processor seconds of live steps."""

    encoder: float = 0.0
    whole: float = 0.0
    steps: int = 0


class TimedEncoder:
    """A ``WindowEncoder`` whose work is added up."""

    def __init__(self, encoder: WindowEncoder, work: Work) -> None:
        self._encoder = encoder
        self._work = work

    def window(self, samples: Samples) -> Window:
        """See ``WindowEncoder.window``."""
        began = time.process_time()
        window = self._encoder.window(samples)
        self._work.encoder += time.process_time() - began
        return window


@dataclass(slots=True)
class GrowingRecording:
    """Of which only the first ``length`` samples have been heard."""

    samples: Samples
    length: int = 0

    def __len__(self) -> int:
        return self.length

    def read(self, start: int, stop: int) -> Samples:
        """See ``openmic.speech.types.Recording``."""
        return self.samples[max(0, start) : max(0, min(stop, self.length))]


@dataclass(frozen=True, slots=True)
class Quality:
    """One reading's figures, and processor seconds per second of audio."""

    name: str
    seconds: float
    measured: Measured
    steps: int
    encoder_load: float
    decoder_load: float
    events: list[tuple[float, str, str]] = field(repr=False)


class VirtualEngine:
    """Runs one stream after another through a loaded engine's live parts, in virtual time."""

    def __init__(self, engine: WhisperEngine, settings: Settings, cost: float, language: str | None) -> None:
        self.work = Work()
        self._live: HypothesisDecoder = copy.copy(engine._live)  # the engine's own keeps its encoder
        self._live._encoder = TimedEncoder(self._live._encoder, self.work)  # type: ignore[assignment]
        self._final = engine._final
        self._settings = settings
        self._cost = cost
        self._options = SpeechOptions(language=language)

    def run(self, reading: Reading) -> Quality:
        """Stream a reading and measure what shows."""
        self.work.encoder = self.work.whole = 0.0
        self.work.steps = 0
        events: list[tuple[float, SpeechEvent]] = []
        now = 0.0
        recording = GrowingRecording(reading.samples)
        final = FinalPass(self._final, recording, self._options)
        stream = EngineStream(
            recording=recording,
            options=self._options,
            final=final,
            walk=final.walk(),
            on_event=lambda event: events.append((now, event)),
            wake=lambda: None,
            step_samples=round(self._settings.live_step_seconds * SAMPLE_RATE),
            window_samples=round(self._settings.live_window_seconds * SAMPLE_RATE),
        )
        activity = VoiceActivity(self._settings.endpoint_silence_seconds)
        while not stream.live_over:
            self._hear(stream, recording, activity, now)
            plan = stream.plan()
            if plan is None:
                now = (math.floor(now * 10 + EPSILON) + 1) / 10
            elif not stream.needs_decoding(plan):
                stream.close_utterance(plan)
            else:
                began = time.process_time()
                hypothesis = self._live.step([stream.request(plan)])[0]
                self.work.whole += time.process_time() - began
                self.work.steps += 1
                now += self._cost
                stream.take(plan, hypothesis)
        return self._quality(reading, events)

    def _hear(self, stream: EngineStream, recording: GrowingRecording, activity: VoiceActivity, now: float) -> None:
        """Let the stream hear all pieces that are complete by now."""
        until = min(math.floor(now * 10 + EPSILON) * PIECE_SAMPLES, len(recording.samples))
        if now * SAMPLE_RATE >= len(recording.samples):
            until = len(recording.samples)
        while recording.length < until:
            begin = recording.length
            recording.length = min(begin + PIECE_SAMPLES, until)
            stream.heard(activity.push(recording.samples[begin : recording.length]))
        if until == len(recording.samples) and not stream.finished:
            stream.heard(activity.flush())
            stream.finish()

    def _quality(self, reading: Reading, events: Sequence[tuple[float, SpeechEvent]]) -> Quality:
        display = Display()
        told = []
        for at, event in events:
            if isinstance(event, CommittedText):
                display.commit(at, event.text)
                told.append((at, "commit", event.text))
            elif isinstance(event, LiveText):
                display.live(at, event.text)
                told.append((at, "live", event.text))
        work = self.work
        return Quality(
            name=reading.name,
            seconds=reading.seconds,
            measured=measure(display.history, reading.words, reading.text, reading.seconds + self._cost + 0.1),
            steps=work.steps,
            encoder_load=work.encoder / reading.seconds,
            decoder_load=(work.whole - work.encoder) / reading.seconds,
            events=told,
        )


HEAD = (
    "| audio | s | words | first seen median / p90 / max | stable median / p90 / max | missing | flicker % "
    "| live WER % | steps | encoder, decoder s per audio s |\n" + "| --- " * 10 + "|"
)


def row(quality: Quality) -> str:
    """One line of the table."""
    m = quality.measured
    return (
        f"| {quality.name} | {quality.seconds:.0f} | {m.words} | {_text(m.first_seen)} | {_text(m.stable)} "
        f"| {m.missing} | {100 * m.flicker:.1f} | {100 * m.live_wer:.1f} "
        f"| {quality.steps} | {quality.encoder_load:.3f}, {quality.decoder_load:.3f} |"
    )


def _text(delay: Delay | None) -> str:
    return "-" if delay is None else str(delay)


def readings(seconds: float | None, clips: bool) -> list[Reading]:
    """The reading, and on request the single recordings."""
    found = [load_reading(seconds)]
    folder = shared_folder()
    if clips:
        single = [*reading_clips(folder)[16:], jfk_clip(folder)] if folder is not None else []
        found += [join(clip.name, [clip]) for clip in [*single, *sample_clips()]]
    return found


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_quality", description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", action="store_true", help="also each LibriVox clip, jfk and our own samples")
    parser.add_argument("--seconds", type=float, help="only about so much of the reading")
    parser.add_argument("--model", default="base")
    parser.add_argument("--language", default="en", help="empty: detect it")
    parser.add_argument("--step", type=float, default=0.5, help="new audio after which a step is due, in seconds")
    parser.add_argument("--cost", type=float, default=0.3, help="pretend time of a step, in seconds")
    parser.add_argument("--threads", type=int, default=1, help="torch threads; one is best on a busy machine")
    parser.add_argument("--show", action="store_true", help="print every event")
    parser.add_argument("--json", type=Path, help="write everything there")
    arguments = parser.parse_args()
    settings = Settings(model=arguments.model, live_step_seconds=arguments.step, cpu_threads=arguments.threads)
    engine = load_engine(settings)
    numba.set_num_threads(arguments.threads)  # its own threads, for the alignment, else change torch's number too
    torch.set_num_threads(arguments.threads)
    virtual = VirtualEngine(engine, settings, arguments.cost, arguments.language or None)
    kept: list[dict[str, Any]] = []
    print(f"step {arguments.step} s, pretend cost {arguments.cost} s, {torch.get_num_threads()} threads\n{HEAD}")
    for reading in readings(arguments.seconds, arguments.clips):
        quality = virtual.run(reading)
        print(row(quality), flush=True)
        kept.append(asdict(quality))
        if arguments.show:
            for at, kind, text in quality.events:
                print(f"{at:7.2f} {kind:6} {text}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")
    engine.close()


if __name__ == "__main__":
    main()

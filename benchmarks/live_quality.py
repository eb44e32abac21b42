"""The live policy's quality in virtual time: the same figures on any machine, however busy it is.

    python -m benchmarks.live_quality [--clips] [--seconds N] [--model base] [--step 0.5] [--cost 0.3] [--show]
    python -m benchmarks.live_quality --german --mixed
    python -m benchmarks.live_quality --languages [--starts 3]
    python -m benchmarks.live_quality --minutes 60 --step 1

Encoder and decoder seconds are processor seconds of this machine. For streams in which the language is detected it
tells which language each stretch of committed text was decoded in. ``--languages`` holds English, German and Spanish
beside each other, with the WER of ``whisper.transcribe``; each recording begins ``--starts`` times, at other moments
between two live steps, since of a minute's words only some are near a step's end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numba
import torch
import whisper

from benchmarks.corpus.reading import Reading, begun_later, german_reading, join, load_reading, mixed_reading
from benchmarks.corpus.recordings import Clip, jfk_clip, reading_clips, sample_clips, shared_folder, spanish_clip
from benchmarks.metrics.display import Delay, Display, Measured, measure, pooled, word_error_rate
from benchmarks.simulated.endurance import endure
from benchmarks.simulated.virtual import GrowingRecording, Told, VirtualEngine
from benchmarks.tail import loaded
from openmic.settings import Settings
from openmic.speech.engine.thread import EngineParts
from openmic.speech.load import load_parts
from openmic.speech.types import CommittedText, LiveText

MIXED_SECONDS = 30.0  # of English before and after the German
LANGUAGE_SECONDS = 120.0  # of English beside the other languages


@dataclass(frozen=True, slots=True)
class Stretch:
    """Committed text that was decoded in one language, and from when to when it was spoken, in seconds."""

    language: str
    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Quality:
    """One reading's figures, and processor seconds per second of audio.

    Attributes:
        committed_delays: of every committed word, when it was committed, minus when it ended by its own time.
        events: (when, "live" or "commit", text).
        stretches: the committed text by the language that it was decoded in.
    """

    name: str
    seconds: float
    measured: Measured
    steps: int
    encoder_load: float
    decoder_load: float
    committed_delays: tuple[float, ...] = field(repr=False)
    events: list[tuple[float, str, str]] = field(repr=False)
    stretches: list[Stretch] = field(repr=False)


def assess(virtual: VirtualEngine, reading: Reading) -> Quality:
    """Stream a reading and measure what shows."""
    work = virtual.work
    work.encoder = work.whole = 0.0
    work.steps = 0
    told = list(virtual.play(GrowingRecording(reading.samples)))
    display = Display()
    events, committed_delays = [], []
    for entry in told:
        if isinstance(entry.event, CommittedText):
            display.commit(entry.at, entry.event.text)
            committed_delays += [entry.at - word.end for word in entry.event.words]
            events.append((entry.at, "commit", entry.event.text))
        elif isinstance(entry.event, LiveText):
            display.live(entry.at, entry.event.text)
            events.append((entry.at, "live", entry.event.text))
    end = reading.seconds + virtual.cost + 0.1
    return Quality(
        name=reading.name,
        seconds=reading.seconds,
        measured=measure(display.history, reading.words, reading.text, end, reading.language),
        steps=work.steps,
        encoder_load=work.encoder / reading.seconds,
        decoder_load=(work.whole - work.encoder) / reading.seconds,
        committed_delays=tuple(committed_delays),
        events=events,
        stretches=stretches(told),
    )


def stretches(told: Iterable[Told]) -> list[Stretch]:
    """The committed text, parted where the language that it was decoded in changes."""
    commits = [(entry.language, entry.event) for entry in told if isinstance(entry.event, CommittedText)]
    found = []
    for language, group in groupby(commits, key=lambda commit: commit[0]):
        texts = [text for _, text in group]
        found.append(Stretch(language, texts[0].start, texts[-1].end, "".join(text.text for text in texts)))
    return found


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


def single_clips() -> list[Clip]:
    """Recordings that are measured one by one: LibriVox, jfk, our own."""
    folder = shared_folder()
    return [*([*reading_clips(folder)[16:], jfk_clip(folder)] if folder is not None else []), *sample_clips()]


def readings(seconds: float | None, clips: bool) -> list[Reading]:
    """The reading, and on request the single recordings."""
    return [load_reading(seconds), *([join(clip.name, [clip]) for clip in single_clips()] if clips else [])]


def quiet_parts(model: str, step_seconds: float, threads: int) -> tuple[EngineParts, Settings]:
    """Loaded parts that use so many threads and no more, and their settings."""
    settings = Settings(model=model, live_step_seconds=step_seconds, cpu_threads=threads)
    parts, _ = load_parts(settings)
    numba.set_num_threads(threads)  # its own threads, for the alignment, else change torch's number too
    torch.set_num_threads(threads)
    return parts, settings


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """The options of programs that run an engine in virtual time."""
    parser.add_argument("--seconds", type=float, help="only about so much of the reading")
    parser.add_argument("--model", default="base")
    parser.add_argument("--step", type=float, default=0.5, help="new audio after which a step is due, in seconds")
    parser.add_argument("--cost", type=float, default=0.3, help="pretend time of a step, in seconds")
    parser.add_argument("--threads", type=int, default=1, help="torch threads; one is best on a busy machine")
    parser.add_argument("--json", type=Path, help="write everything there")


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.live_quality", description=__doc__.partition("\n")[0])
    add_engine_options(parser)
    parser.add_argument("--language", default="en", help="of the English readings; empty: detect it")
    parser.add_argument("--clips", action="store_true", help="also each LibriVox clip, jfk and our own samples")
    parser.add_argument("--german", action="store_true", help="our German recording instead, told and detected")
    parser.add_argument("--mixed", action="store_true", help="English, German, English instead, detected")
    parser.add_argument("--languages", action="store_true", help="English, German and Spanish instead, told")
    parser.add_argument("--starts", type=int, default=3, help="for --languages: so many beginnings of each")
    parser.add_argument("--minutes", type=float, help="the reading over and over for so long: does anything change?")
    parser.add_argument("--show", action="store_true", help="print every event")
    arguments = parser.parse_args()
    parts, settings = quiet_parts(arguments.model, arguments.step, arguments.threads)
    print(f"step {arguments.step} s, pretend cost {arguments.cost} s, {torch.get_num_threads()} threads", flush=True)
    if arguments.minutes:
        virtual = VirtualEngine(parts, settings, arguments.cost, arguments.language or None)
        kept: Any = asdict(
            endure(virtual, load_reading(min(arguments.seconds or 900.0, 15 * arguments.minutes)), arguments.minutes)
        )
    elif arguments.languages:
        kept = [asdict(quality) for quality in by_language(parts, settings, arguments)]
    else:
        kept = [asdict(quality) for quality in _assessed(parts, settings, arguments)]
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(kept, indent=1), encoding="utf-8")


LANGUAGES_HEAD = (
    "| language | words | first seen median / p90 / max | stable median / p90 / max | flicker % | live WER % "
    "| final WER % |\n" + "| --- " * 7 + "|"
)


def by_language(parts: EngineParts, settings: Settings, arguments: argparse.Namespace) -> list[Quality]:
    """Print a line for each language, which the streams are told; each recording begins at several moments."""
    folder = shared_folder()
    given = [load_reading(arguments.seconds or LANGUAGE_SECONDS), german_reading()]
    given += [join("Spanish", [spanish_clip(folder)])] if folder is not None else []
    found = []
    print(LANGUAGES_HEAD)
    for reading in given:
        virtual = VirtualEngine(parts, settings, arguments.cost, reading.language)
        begins = [start * arguments.step / arguments.starts for start in range(arguments.starts)]
        qualities = [assess(virtual, begun_later(reading, seconds)) for seconds in begins]
        model = loaded(parts.final.name, parts.info.device)
        final = whisper.transcribe(model, reading.samples, language=reading.language, fp16=False)["text"]
        m = pooled([quality.measured for quality in qualities])
        print(
            f"| {reading.name} | {m.words} | {_text(m.first_seen)} | {_text(m.stable)} | {100 * m.flicker:.1f} "
            f"| {100 * m.live_wer:.1f} | {100 * word_error_rate(reading.text, final, reading.language):.1f} |",
            flush=True,
        )
        found += qualities
    return found


def _assessed(parts: EngineParts, settings: Settings, arguments: argparse.Namespace) -> list[Quality]:
    wanted: list[tuple[Reading, str | None]] = []
    if arguments.german:
        german = german_reading()
        wanted += [(replace(german, name="German, told"), "de"), (replace(german, name="German, detected"), None)]
    if arguments.mixed:
        wanted.append((mixed_reading(min(arguments.seconds or MIXED_SECONDS, MIXED_SECONDS)), None))
    if not wanted:
        english = readings(arguments.seconds, arguments.clips)
        wanted = [(reading, arguments.language or None) for reading in english]
    print(HEAD)
    found = []
    for reading, language in wanted:
        quality = assess(VirtualEngine(parts, settings, arguments.cost, language), reading)
        print(row(quality), flush=True)
        found.append(quality)
    for quality, (_, language) in zip(found, wanted, strict=True):
        if language is None:
            print(f"\n{quality.name}, decoded in:")
            show_stretches(quality.stretches)
        if arguments.show:
            for at, kind, text in quality.events:
                print(f"{at:7.2f} {kind:6} {text}")
    return found


def show_stretches(found: Sequence[Stretch]) -> None:
    """Print which language each stretch of the text was decoded in."""
    for stretch in found:
        print(f"- {stretch.language}, {stretch.start:.1f} to {stretch.end:.1f} s:{stretch.text}")


if __name__ == "__main__":
    main()

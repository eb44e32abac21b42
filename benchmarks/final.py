"""How long the final text takes after the speaker stops, against how long was spoken.

    python -m benchmarks.final [--minutes 1,5,10,30,60] [--speed N] [--pause SECONDS] [--at-once N] [--skip-batch]
                               [--again] [--output DIR]

The recordings, repeated, are streamed to a fresh server at the speed of speech, or N times faster; then the same file
is transcribed after the fact: by openai-whisper without word times, which is the quickest it can do, and with them,
which are the final's own options (they also change where its windows begin); and by faster-whisper. ``--pause 3``: the
speaker is silent for so long before the stop, as people are; else it comes with the last word. ``--at-once 2``
streams two lengths at any time, the longest first, each to a server of its own: harder for each than alone, and all
are done when the longest is. Leaves ``final.json`` and three plots in DIR. Each figure is kept there when it is known,
and one that is there already is not measured again: a run that was cut short goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.corpus.reading import Reading, long_reading
from benchmarks.live import DEFAULT_OUTPUT
from benchmarks.metrics import plots
from benchmarks.metrics.display import word_error_rate
from benchmarks.metrics.processes import Others, ProcessTree
from benchmarks.metrics.report import machine
from benchmarks.peers import batch
from benchmarks.peers.environments import NotInstalled
from benchmarks.realtime.service import Service, Stream, service, stream
from openmic.audio import SAMPLE_RATE, write_wav

COLUMNS = (
    "minutes",
    "time to final s",
    "openai-whisper after the fact s",
    "with word times s",
    "faster-whisper after the fact s",
    "WER %: live",
    "final",
    "openai-whisper",
    "with word times",
    "faster-whisper",
    "final's text as with word times",
    "server memory MB: before",
    "peak",
    "CPU s per audio s",
    "CPU s after the last sample",
)


@dataclass(frozen=True, slots=True)
class Length:
    """The figures of one length of audio; None where something did not run.

    Attributes:
        minutes: of audio.
        time_to_final: seconds from the last sample to the final text.
        live_wer, final_wer: fractions.
        before_bytes, peak_bytes: the server's resident memory.
        cpu_per_second: processor seconds of the server per second of audio.
        cpu_after: processor seconds of the server after the last sample.
        plain_seconds, plain_wer: of one greedy ``whisper.transcribe`` of the file, without word times.
        worded_seconds, worded_wer: of one with them, as in the final.
        quick_seconds, quick_wer: of faster-whisper, int8, greedy.
        note: that others used the machine too, if they did.
        final_text: what the final said.
        worded_text: what ``whisper.transcribe`` with word times said.
    """

    minutes: float
    time_to_final: float | None
    live_wer: float
    final_wer: float | None
    before_bytes: int
    peak_bytes: int
    cpu_per_second: float
    cpu_after: float = 0.0
    plain_seconds: float | None = None
    plain_wer: float | None = None
    quick_seconds: float | None = None
    quick_wer: float | None = None
    note: str = ""
    worded_seconds: float | None = None
    worded_wer: float | None = None
    final_text: str | None = None
    worded_text: str | None = None

    @property
    def same_text(self) -> bool | None:
        """Whether the final is word for word what ``whisper.transcribe`` with the same options says."""
        if self.final_text is None or self.worded_text is None:
            return None
        return self.final_text.split() == self.worded_text.split()

    def markdown(self) -> str:
        """One line of the table."""
        cells = [
            f"{self.minutes:.1f}" + (f" ({self.note})" if self.note else ""),
            _number(self.time_to_final),
            *(_number(seconds) for seconds in (self.plain_seconds, self.worded_seconds, self.quick_seconds)),
            *(_number(wer, 100) for wer in (self.live_wer, self.final_wer, self.plain_wer)),
            *(_number(wer, 100) for wer in (self.worded_wer, self.quick_wer)),
            {None: "-", True: "yes", False: "no"}[self.same_text],
            f"{self.before_bytes / 1e6:.0f}",
            f"{self.peak_bytes / 1e6:.0f}",
            f"{self.cpu_per_second:.2f}",
            f"{self.cpu_after:.1f}",
        ]
        return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Run and print."""
    arguments = _parser().parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    pace = "the speed of speech" if arguments.speed == 1 else f"{arguments.speed:g} times the speed of speech"
    beside = "" if arguments.at_once == 1 else f", {arguments.at_once} lengths at a time, each with a server of its own"
    pause = f", {arguments.pause:g} s of silence before the stop" if arguments.pause else ""
    title = f"model {arguments.model}, fed at {pace}{pause}{beside}; {machine()}"
    print(title, flush=True)
    run = {name: getattr(arguments, name) for name in ("model", "language", "speed", "pause", "at_once")}
    kept = {} if arguments.again else done_before(arguments.output / "final.json", run)
    asked = arguments.minutes.split(",")

    def done(minutes: str, length: Length) -> None:
        kept[minutes] = length
        keep(arguments.output / "final.json", title, run, kept)

    left = sorted((minutes for minutes in asked if minutes not in kept), key=float, reverse=True)
    in_lanes(left, arguments.at_once, partial(streamed, **run), done)
    print(f"\n| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|", flush=True)
    for minutes in asked:
        if not arguments.skip_batch:
            for found in after_the_fact(kept[minutes], minutes, arguments.model, arguments.language):
                done(minutes, replace(kept[minutes], **found))
        print(kept[minutes].markdown(), flush=True)
    draw(arguments.output, sorted(kept.values(), key=lambda length: length.minutes))


def in_lanes(
    asked: Iterable[str], lanes: int, stream_one: Callable[[str], Length], done: Callable[[str, Length], None]
) -> None:
    """Stream each of ``asked`` to a server of its own, so many of them at any time; ``done`` hears of each at once."""
    with ThreadPoolExecutor(lanes) as pool:
        waiting = {pool.submit(stream_one, minutes): minutes for minutes in asked}
        for finished in as_completed(waiting):
            length = finished.result()
            print(f"{waiting[finished]} min streamed: {_number(length.time_to_final)} s to the final", flush=True)
            done(waiting[finished], length)


def done_before(file: Path, run: dict[str, Any]) -> dict[str, Length]:
    """The lengths that an earlier run with the same arguments has left in ``file``, by the minutes asked for."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    if content.get("run") != run:
        return {}
    return {minutes: Length(**fields) for minutes, fields in content["lengths"].items()}


def keep(file: Path, title: str, run: dict[str, Any], lengths: dict[str, Length]) -> None:
    """Leave all lengths that are done in ``file``, or the ones before if this is cut short."""
    content = {"title": title, "run": run, "lengths": {minutes: asdict(length) for minutes, length in lengths.items()}}
    part = file.with_suffix(".part")
    part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    part.replace(file)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.final", description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", default="1,5,10,30,60", help="lengths of audio, one round each")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster than speech")
    parser.add_argument("--pause", type=float, default=0.0, metavar="SECONDS", help="of silence before the stop")
    parser.add_argument("--at-once", type=int, default=1, metavar="N", help="so many lengths at the same time")
    parser.add_argument("--again", action="store_true", help="run lengths that are done already, too")
    parser.add_argument("--skip-batch", action="store_true", help="no transcription after the fact")
    parser.add_argument("--model", default="base")
    parser.add_argument("--language", default="en", help="told to everyone; empty: each detects it")
    parser.add_argument("--output", type=Path, default=DEFAULT_OUTPUT, metavar="DIR")
    return parser


def streamed(minutes: str, model: str, language: str, speed: float, pause: float, at_once: int) -> Length:
    """Stream so much of the reading to a fresh server; ``at_once`` says how many such servers there are."""
    reading = long_reading(float(minutes))
    silence = np.zeros(round(pause * SAMPLE_RATE), np.float32)
    reading = replace(reading, samples=np.concatenate([reading.samples, silence]))
    with service(model) as running, ProcessTree(running.pid) as tree, Others() as others:
        before_bytes, cpu_before = tree.memory_bytes(), tree.cpu_seconds()
        seen, cpu_at_stop = asyncio.run(watched(running, tree, reading, language, speed))
        cpu_at_end = tree.cpu_seconds()
    live = next((shown.text for shown in reversed(seen.history) if shown.at <= seen.audio_end), "")
    return Length(
        minutes=reading.seconds / 60,
        time_to_final=None if seen.final is None else seen.time_to_final,
        live_wer=word_error_rate(reading.text, live),
        final_wer=None if seen.final is None else word_error_rate(reading.text, seen.final),
        final_text=seen.final,
        before_bytes=before_bytes,
        peak_bytes=tree.peak_bytes,
        cpu_per_second=(cpu_at_end - cpu_before) / reading.seconds,
        cpu_after=cpu_at_end - cpu_at_stop,
        note=seen.refused or (others.note if at_once == 1 else ""),
    )


async def watched(
    running: Service, tree: ProcessTree, reading: Reading, language: str, speed: float
) -> tuple[Stream, float]:
    """Stream a reading; what was seen, and the server's processor seconds so far at the end of its audio."""
    task = asyncio.create_task(stream(running, reading.pcm(), language, speed))
    await asyncio.wait([task], timeout=reading.seconds / speed)
    cpu_at_stop = tree.cpu_seconds()
    return await task, cpu_at_stop


def after_the_fact(length: Length, minutes: str, model: str, language: str) -> Iterator[dict[str, Any]]:
    """Transcribe the reading with each program that ``length`` has no figures of; the fields of each as it is done."""
    runs: dict[str, Callable[[Path], batch.BatchResult]] = {
        "plain": lambda file: batch.openai_whisper(file, model, language),
        "worded": lambda file: batch.openai_whisper(file, model, language, words=True),
    }
    if model == "base":
        runs["quick"] = lambda file: batch.faster_whisper(file, language)
    missing = [name for name in runs if getattr(length, f"{name}_seconds") is None]
    if not missing:
        return
    reading = long_reading(float(minutes))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "reading.wav"
        write_wav(file, [reading.samples])
        for name in missing:
            try:
                result = runs[name](file)
            except (NotInstalled, batch.NotRun) as failure:
                print(f"{name} does not run here: {failure}")
                continue
            found = {f"{name}_seconds": result.seconds, f"{name}_wer": word_error_rate(reading.text, result.text)}
            yield found | ({"worded_text": result.text} if name == "worded" else {})


def draw(folder: Path, lengths: list[Length]) -> None:
    """Time to final, WER and memory over the length of the audio."""

    def over(values: Callable[[Length], float | None]) -> list[tuple[float, float]]:
        return [(length.minutes, value) for length in lengths if (value := values(length)) is not None]

    across = "minutes of audio"
    plots.lines(
        folder / "final_time.png",
        across,
        "seconds from the last sample to the text",
        {
            "openmic": over(lambda length: length.time_to_final),
            "openai-whisper": over(lambda length: length.plain_seconds),
            "faster-whisper": over(lambda length: length.quick_seconds),
        },
        logarithmic=True,
    )
    plots.lines(
        folder / "final_wer.png",
        across,
        "WER, %",
        {
            "live": over(lambda length: 100 * length.live_wer),
            "final": over(lambda length: None if length.final_wer is None else 100 * length.final_wer),
            "openai-whisper": over(lambda length: None if length.plain_wer is None else 100 * length.plain_wer),
            "with word times": over(lambda length: None if length.worded_wer is None else 100 * length.worded_wer),
            "faster-whisper": over(lambda length: None if length.quick_wer is None else 100 * length.quick_wer),
        },
    )
    plots.lines(
        folder / "final_memory.png",
        across,
        "server's memory, MB",
        {
            "before": over(lambda length: length.before_bytes / 1e6),
            "peak": over(lambda length: length.peak_bytes / 1e6),
        },
    )


def _number(value: float | None, factor: float = 1.0) -> str:
    return "-" if value is None else f"{factor * value:.1f}"


if __name__ == "__main__":
    main()

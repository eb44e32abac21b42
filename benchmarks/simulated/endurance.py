"""One stream for an hour in virtual time: are its last minutes as good, as quick and as cheap as its first?

The reading is repeated with a pause after it, at which everything is committed. So each lap is measured like a reading
of its own, and the first and the last are the same audio.
"""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import psutil

from benchmarks.corpus.reading import Reading
from benchmarks.metrics.display import Display, Measured, measure, pooled
from benchmarks.simulated.virtual import GrowingRecording, VirtualEngine
from openmic.audio.types import SAMPLE_RATE
from openmic.speech.types import CommittedText, LiveText

PAUSE_SECONDS = 2.0  # between two laps: longer than an endpoint needs
BLOCKS = 6  # parts of the whole that are told one by one: of an hour, ten minutes each

HEAD = (
    "| minutes | first seen median / p90 / max | stable median / p90 / max | missing % | flicker % | live WER % "
    "| encoder, decoder s per audio s | resident MB, begin and end |\n" + "| --- " * 8 + "|"
)


@dataclass(frozen=True, slots=True)
class Lap:
    """One time through the reading.

    Attributes:
        begin, end: in seconds of the whole stream.
        measured: with times that begin with the lap.
        encoder, decoder: processor seconds.
        begin_bytes, end_bytes: this process's resident memory.
    """

    begin: float
    end: float
    measured: Measured
    encoder: float
    decoder: float
    begin_bytes: int
    end_bytes: int


@dataclass(frozen=True, slots=True)
class Endurance:
    """All laps of one stream."""

    laps: tuple[Lap, ...]


def endure(virtual: VirtualEngine, reading: Reading, minutes: float) -> Endurance:
    """Stream the reading over and over, and print the first lap, the last, and all in blocks."""
    padded = np.pad(reading.samples, (0, round(PAUSE_SECONDS * SAMPLE_RATE)))
    count = max(2, math.ceil(minutes * 60 * SAMPLE_RATE / len(padded)))
    laps = _laps(virtual, reading, GrowingRecording(padded, count))
    print(f"{count} times {reading.name}, {reading.seconds:.0f} s and {PAUSE_SECONDS:g} s of silence\n\n{HEAD}")
    print(markdown("first: ", laps[:1]))
    print(markdown("last: ", laps[-1:]), flush=True)
    marks = [round(number * count / BLOCKS) for number in range(BLOCKS + 1)]
    for begin, end in pairwise(marks):
        if begin < end:
            print(markdown("", laps[begin:end]), flush=True)
    return Endurance(tuple(laps))


def markdown(what: str, laps: Sequence[Lap]) -> str:
    """One line of the table, over some laps."""
    m = pooled([lap.measured for lap in laps])
    seconds = laps[-1].end - laps[0].begin
    cells = [
        f"{what}{laps[0].begin / 60:.1f} to {laps[-1].end / 60:.1f}",
        str(m.first_seen or "-"),
        str(m.stable or "-"),
        f"{100 * m.missing / max(1, m.words):.1f}",
        f"{100 * m.flicker:.1f}",
        f"{100 * m.live_wer:.1f}",
        f"{sum(lap.encoder for lap in laps) / seconds:.3f}, {sum(lap.decoder for lap in laps) / seconds:.3f}",
        f"{laps[0].begin_bytes / 1e6:.0f}, {laps[-1].end_bytes / 1e6:.0f}",
    ]
    return "| " + " | ".join(cells) + " |"


def _laps(virtual: VirtualEngine, reading: Reading, recording: GrowingRecording) -> list[Lap]:
    seconds = len(recording.samples) / SAMPLE_RATE
    laps: list[Lap] = []
    display = Display()
    memory, encoder, whole = _resident_bytes(), virtual.work.encoder, virtual.work.whole

    def end_lap() -> None:
        nonlocal display, memory, encoder, whole
        begin = len(laps) * seconds
        found = measure(
            display.history, reading.words, reading.text, reading.seconds + virtual.cost + 0.1, reading.language
        )
        work = virtual.work
        spent = work.encoder - encoder
        now = _resident_bytes()
        laps.append(
            Lap(begin, begin + seconds, found, spent, work.whole - whole - spent, begin_bytes=memory, end_bytes=now)
        )
        display, memory, encoder, whole = Display(), now, work.encoder, work.whole

    for told in virtual.play(recording):
        while told.at >= (len(laps) + 1) * seconds and len(laps) + 1 < recording.laps:
            end_lap()
        at = told.at - len(laps) * seconds
        if isinstance(told.event, CommittedText):
            display.commit(at, told.event.text)
        elif isinstance(told.event, LiveText):
            display.live(at, told.event.text)
    while len(laps) < recording.laps:
        end_lap()
    return laps


def _resident_bytes() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)

"""Rows of figures, printed as a markdown table while they come, and kept as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.metrics.display import Delay

COLUMNS = (
    "",
    "first seen s, median / p90 / max",
    "stable s, median / p90 / max",
    "missing",
    "flicker %",
    "live -> final WER %",
    "time to final s",
    "CPU s per audio s",
    "cost ratio",
    "peak memory MB",
)


SPREAD_COLUMNS = (
    "sessions",
    "served",
    "refused",
    "words dropped",
    "of the worst session: stable p90 s",
    "missing",
    "live WER %",
    "final WER %",
    "time to final s, first / last",
)


@dataclass(frozen=True, slots=True)
class Spread:
    """How the sessions of one round fared one by one.

    Attributes:
        served, refused: sessions.
        dropped: words, of all sessions.
        stable_p90, missing, live_wer, final_wer: of the session that has the worst; the last three are fractions.
        first_final, last_final: the shortest and the longest time to final, in seconds.
    """

    served: int
    refused: int = 0
    dropped: int = 0
    stable_p90: float | None = None
    missing: float | None = None
    live_wer: float | None = None
    final_wer: float | None = None
    first_final: float | None = None
    last_final: float | None = None

    def markdown(self) -> str:
        """The line of the table."""
        cells = [
            str(self.served + self.refused),
            str(self.served),
            str(self.refused),
            str(self.dropped) if self.served else "-",
            _number(self.stable_p90, 2),
            _percent(self.missing, "%"),
            _percent(self.live_wer),
            _percent(self.final_wer),
            f"{_number(self.first_final, 1)} / {_number(self.last_final, 1)}",
        ]
        return "| " + " | ".join(cells) + " |"


@dataclass(frozen=True, slots=True)
class Gap:
    """Words that a session never showed.

    Attributes:
        at: when the first of them ended in the audio, in seconds.
        words: of the reference.
        displays: what was shown around that time, (when, the end of the display).
    """

    at: float
    words: str
    displays: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One contender's figures; None: it has no such figure.

    Attributes:
        name: of the server, and its number of sessions.
        first_seen, stable: delays over all words of all sessions.
        missing: share of the words that the last displays do not have, a fraction.
        flicker, live_wer, final_wer: fractions, the mean of all sessions.
        time_to_final: seconds, the longest of all sessions.
        cpu_per_second: of the whole server, per second of audio of all sessions.
        cost_ratio: that over the same figure of plain ``whisper.transcribe``.
        peak_bytes: of the server.
        note: why it did not run, or what else is to be said.
        stable_by_word: (end of a word, its stable delay) of the session that had to wait most.
        spread: the sessions one by one; None for what has no sessions.
        gaps: of all sessions.
    """

    name: str
    sessions: int = 1
    first_seen: Delay | None = None
    stable: Delay | None = None
    missing: float | None = None
    flicker: float | None = None
    live_wer: float | None = None
    final_wer: float | None = None
    time_to_final: float | None = None
    cpu_per_second: float | None = None
    cost_ratio: float | None = None
    peak_bytes: int | None = None
    note: str = ""
    stable_by_word: tuple[tuple[float, float], ...] = ()
    spread: Spread | None = None
    gaps: tuple[Gap, ...] = ()

    def markdown(self) -> str:
        """The row as a line of the table."""
        if self.time_to_final is None and self.stable is None:
            return f"| {self.name} | {self.note}" + " |" * (len(COLUMNS) - 1)
        wer = f"{_percent(self.live_wer)} -> {_percent(self.final_wer)}"
        cells = [
            self.name + (f" ({self.note})" if self.note else ""),
            "-" if self.first_seen is None else str(self.first_seen),
            "-" if self.stable is None else str(self.stable),
            _percent(self.missing, "%"),
            _percent(self.flicker),
            wer if self.live_wer is not None else _percent(self.final_wer),
            _number(self.time_to_final, 1),
            _number(self.cpu_per_second, 2),
            _number(self.cost_ratio, 1),
            _number(None if self.peak_bytes is None else self.peak_bytes / 1e6, 0),
        ]
        return "| " + " | ".join(cells) + " |"


class Table:
    """Prints rows as they come."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def begin(self, title: str) -> None:
        """Print what is measured and the head of the table."""
        print(f"{title}\n\n| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|", flush=True)

    def add(self, row: Row) -> None:
        """Print and keep a row."""
        self.rows.append(row)
        print(row.markdown(), flush=True)


def print_spreads(rows: Sequence[Row]) -> None:
    """Print how the sessions of each round fared."""
    print(f"\n| {' | '.join(SPREAD_COLUMNS)} |\n{'| --- ' * len(SPREAD_COLUMNS)}|")
    for row in rows:
        if row.spread is not None:
            print(row.spread.markdown(), flush=True)
    for row in rows:
        for gap in row.gaps:
            print(f"{row.name}, dropped at {gap.at:.1f} s: {gap.words}", flush=True)


def machine() -> str:
    """This machine, its load and the date in one line."""
    cores, memory = psutil.cpu_count() or 1, psutil.virtual_memory().total / 2**30
    load = f", load {os.getloadavg()[0]:.1f} before" if hasattr(os, "getloadavg") else ""
    now = datetime.now(UTC)
    return f"{now:%Y-%m-%d %H:%M} UTC, {processor()}, {cores} cores, {memory:.0f} GiB, {platform.system()}{load}"


def processor() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def write_json(path: Path, title: str, rows: Sequence[Row]) -> None:
    """Keep the figures."""
    content = {"title": title, "machine": machine(), "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(content, indent=1), encoding="utf-8")


def _percent(fraction: float | None, sign: str = "") -> str:
    return "-" if fraction is None else f"{100 * fraction:.1f}{sign}"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"

"""Pictures of the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from benchmarks.metrics.report import Row

Points = Sequence[tuple[float, float]]

COLOURS = ("#0b6e99", "#d9730d", "#6940a5", "#448361", "#ad1a72", "#9f6b53")  # told apart by the colour-blind, too
AT_ONCE_SECONDS = 10.0  # of audio that one point of a line over time stands for
ALWAYS_GOOD_SECONDS = 3.0  # the stable delay at the 90th percentile up to which a session counts as served well


def delay_over_time(path: Path, rows: Sequence[Row]) -> None:
    """Each word's stable delay by when it was spoken, as a dot; lines are what nine of ten words around stay below."""
    figure, axes = _figure("seconds of audio", "seconds until a word is stable")
    for row, colour in zip(rows, COLOURS * len(rows), strict=False):
        if not row.stable_by_word:
            continue
        times, delays = np.array(row.stable_by_word).T
        axes.plot(times, delays, ".", markersize=3, alpha=0.35, color=colour)
        around = [delays[np.abs(times - time) <= AT_ONCE_SECONDS / 2] for time in times]
        axes.plot(times, [np.percentile(near, 90) for near in around], linewidth=1.8, color=colour, label=row.name)
    axes.set_title("How late each word stands still (lines: nine of ten words within 10 s)", loc="left", fontsize=11)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_yticks([0, 0.5, 1, 2, 5, 10, 20, 50])
    axes.yaxis.set_minor_locator(NullLocator())
    highest = max((delay for row in rows for _, delay in row.stable_by_word), default=1.0)
    axes.set_ylim(bottom=-0.2, top=max(5.0, 1.2 * highest))
    _save(figure, axes, path)


def delay_over_sessions(path: Path, rows: Sequence[Row]) -> None:
    """Stable delay by how many spoke at once, as many as were served."""
    figure, axes = _figure("sessions at once", "seconds until a word is stable")
    known = [(row.spread.served if row.spread else row.sessions, row.stable) for row in rows if row.stable is not None]
    counts = [count for count, _ in known]
    for name, style, colour, alpha, delays in (
        ("slowest word", "^:", COLOURS[1], 0.7, [delay.max for _, delay in known]),
        ("nine of ten words", "s-", COLOURS[0], 1.0, [delay.p90 for _, delay in known]),
        ("half of the words", "o-", COLOURS[3], 1.0, [delay.median for _, delay in known]),
    ):
        axes.plot(counts, delays, style, color=colour, alpha=alpha, label=name)
    axes.axhline(ALWAYS_GOOD_SECONDS, color="#999999", linewidth=1, linestyle="--", label="limit for nine of ten words")
    for row in rows:
        if row.spread is not None and row.spread.refused:
            text = f"of {row.sessions}: {row.spread.served} served,\n{row.spread.refused} refused"
            axes.annotate(
                text, (max(1, row.spread.served), 0), (0, 6), textcoords="offset points", fontsize=8, ha="center"
            )
    axes.set_title("How late words stand still when several people speak", loc="left", fontsize=11)
    if counts:
        axes.set_xscale("log", base=2)
        axes.set_xticks(sorted(set(counts)), [str(count) for count in sorted(set(counts))])
        axes.xaxis.set_minor_locator(NullLocator())
    _save(figure, axes, path)


def lines(path: Path, across: str, up: str, series: Mapping[str, Points], logarithmic: bool = False) -> None:
    """Several lines over one axis."""
    figure, axes = _figure(across, up)
    for (name, points), colour in zip(series.items(), COLOURS * len(series), strict=False):
        if points:
            axes.plot(*zip(*points, strict=True), "o-", label=name, color=colour)
    if logarithmic:
        axes.set_yscale("log")
    _save(figure, axes, path)


@dataclass(frozen=True, slots=True)
class Panel:
    """One of several figures over the same axis.

    Attributes:
        up: what its axis says.
        series: points of each line, by the line's name.
        logarithmic: whether that axis is.
        limit: a level to be marked.
    """

    up: str
    series: Mapping[str, Points]
    logarithmic: bool = False
    limit: float | None = None


def panels(path: Path, across: str, figures: Sequence[Panel]) -> None:
    """Figures side by side over the same axis, in powers of two, with one legend for all."""
    figure, all_axes = plt.subplots(1, len(figures), figsize=(4.5 * len(figures), 4.5), layout="constrained")
    for axes, panel in zip(np.atleast_1d(all_axes), figures, strict=True):
        _label(axes, across, panel.up)
        for (name, points), colour in zip(panel.series.items(), COLOURS * len(panel.series), strict=False):
            if points:
                axes.plot(*zip(*points, strict=True), "o-", label=name, color=colour, markersize=4)
        if panel.limit is not None:
            axes.axhline(panel.limit, color="#999999", linewidth=1, linestyle="--")
        places = sorted({place for points in panel.series.values() for place, _ in points})
        axes.set_xscale("log", base=2)
        axes.set_xticks(places, [f"{place:g}" for place in places])
        axes.xaxis.set_minor_locator(NullLocator())
        if panel.logarithmic:
            axes.set_yscale("log")
        else:
            axes.set_ylim(bottom=0.0)
    handles, names = np.atleast_1d(all_axes)[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _figure(across: str, up: str) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    _label(axes, across, up)
    return figure, axes


def _label(axes: Axes, across: str, up: str) -> None:
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, axes: Axes, path: Path) -> None:
    if axes.lines:
        axes.legend(frameon=False, fontsize=9)
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    figure.savefig(path, dpi=110)
    plt.close(figure)

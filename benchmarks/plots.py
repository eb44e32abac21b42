"""Pictures of the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.report import Row

Points = Sequence[tuple[float, float]]


def delay_over_time(path: Path, rows: Sequence[Row]) -> None:
    """Each word's stable delay by when it was spoken."""
    figure, axes = _figure("seconds of audio", "stable delay, s")
    for row in rows:
        if row.stable_by_word:
            axes.plot(*zip(*row.stable_by_word, strict=True), ".-", markersize=4, linewidth=0.6, label=row.name)
    _save(figure, axes, path)


def delay_over_sessions(path: Path, rows: Sequence[Row]) -> None:
    """Stable delay by how many spoke at once."""
    figure, axes = _figure("sessions at once", "stable delay, s")
    known = [(row.sessions, row.stable) for row in rows if row.stable is not None]
    counts = [count for count, _ in known]
    axes.plot(counts, [delay.max for _, delay in known], "^:", label="max")
    axes.plot(counts, [delay.p90 for _, delay in known], "s-", label="p90")
    axes.plot(counts, [delay.median for _, delay in known], "o-", label="median")
    if counts:
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(count) for count in counts])
    _save(figure, axes, path)


def lines(path: Path, across: str, up: str, series: Mapping[str, Points], logarithmic: bool = False) -> None:
    """Several lines over one axis."""
    figure, axes = _figure(across, up)
    for name, points in series.items():
        if points:
            axes.plot(*zip(*points, strict=True), "o-", label=name)
    if logarithmic:
        axes.set_yscale("log")
    _save(figure, axes, path)


def _figure(across: str, up: str) -> tuple[Figure, Axes]:
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, axes: Axes, path: Path) -> None:
    if axes.lines:
        axes.legend(frameon=False)
    if axes.get_yscale() == "linear":
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
    figure.savefig(path, dpi=130)
    plt.close(figure)

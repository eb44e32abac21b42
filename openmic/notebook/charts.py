"""Small charts as inline SVG: no script, no library, and colours that stand on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 220.0, 64.0  # of the drawing, in its own units
BLUE, ORANGE, GREEN, VIOLET = "#4285f4", "#e8710a", "#1e9e5a", "#9b5de5"
GAP_SECONDS = 6.0  # a line breaks where two points are further apart

Point = tuple[float, float | None]
"""Seconds ago, and a value; None where there is none: the line breaks."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart.

    Attributes:
        points: the oldest first.
        colour: of the line.
        filled: whether the area below it is tinted.
        dashed: for a bound, or for the less important of two.
    """

    points: Sequence[Point]
    colour: str
    filled: bool = False
    dashed: bool = False


def chart(title: str, now: str, beside: str, lines: Sequence[Line], seconds: float, top: float, scale: str = "") -> str:
    """One chart with its title, the present value in words, and its lines over the last ``seconds``.

    Args:
        title: what is drawn.
        now: the value now, with its unit.
        beside: what else is to be known of it, in few words.
        lines: drawn in this order.
        seconds: the width of the time axis; its right end is now.
        top: the value at the upper edge; 0 is at the lower one.
        scale: what the upper edge stands for.
    """
    drawn = "".join(_line(line, seconds, top) for line in lines)
    edge = "stroke:currentColor;stroke-opacity:.2;stroke-width:1;vector-effect:non-scaling-stroke"
    label = escape(f"{title}: {now} {beside}".strip(), quote=True)
    return (
        f'<div style="flex:1 1 170px;min-width:150px"><div style="font-size:.85em;opacity:.75">{escape(title)}</div>'
        f'<div style="display:flex;justify-content:space-between;align-items:baseline;gap:8px;white-space:nowrap;'
        f'margin-bottom:2px">'
        f'<strong>{escape(now)}</strong><span style="font-size:.75em;opacity:.75">{escape(beside)}</span></div>'
        f'<svg role="img" aria-label="{label}" viewBox="0 0 {WIDTH:.0f} {HEIGHT:.0f}" preserveAspectRatio="none" '
        f'style="display:block;width:100%;height:56px;overflow:visible">'
        f'<line x1="0" y1="{HEIGHT:.0f}" x2="{WIDTH:.0f}" y2="{HEIGHT:.0f}" style="{edge}"></line>'
        f'<line x1="0" y1="0" x2="{WIDTH:.0f}" y2="0" style="{edge};stroke-dasharray:2 4"></line>{drawn}</svg>'
        f'<div style="display:flex;justify-content:space-between;font-size:.7em;opacity:.65">'
        f"<span>{seconds / 60:.0f} min ago</span><span>{escape(scale)}</span><span>now</span></div></div>"
    )


def _line(line: Line, seconds: float, top: float) -> str:
    style = f"fill:none;stroke:{line.colour};stroke-width:1.8;vector-effect:non-scaling-stroke;stroke-linejoin:round"
    if line.dashed:
        style += ";stroke-dasharray:4 3;stroke-opacity:.8"
    parts = []
    for run in _runs(line.points, seconds):
        at = [(_x(ago, seconds), HEIGHT * (1 - min(value, top) / top)) for ago, value in run]
        if len(at) == 1:  # a single moment would be invisible
            at.append((at[0][0] + 1.0, at[0][1]))
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        if line.filled:
            corners = f"{at[0][0]:.1f},{HEIGHT:.0f} {path} {at[-1][0]:.1f},{HEIGHT:.0f}"
            parts.append(f'<polygon points="{corners}" style="fill:{line.colour};fill-opacity:.18"></polygon>')
        parts.append(f'<polyline points="{path}" style="{style}"></polyline>')
    return "".join(parts)


def _x(seconds_ago: float, seconds: float) -> float:
    return WIDTH * (1 - seconds_ago / seconds)


def _runs(points: Sequence[Point], seconds: float) -> list[list[tuple[float, float]]]:
    """The points that are drawn, cut where a value or a moment is missing."""
    runs: list[list[tuple[float, float]]] = []
    before: float | None = None
    for ago, value in points:
        if value is None or ago > seconds:
            before = None
            continue
        if before is None or before - ago > GAP_SECONDS:
            runs.append([])
        runs[-1].append((max(0.0, ago), value))
        before = ago
    return runs

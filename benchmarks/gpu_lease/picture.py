"""The figures of a run as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from openmic.speech.live.decode import STAGES

GOOD_SECONDS = 1.5  # of stable delay, at the 90th percentile


def draw(results: dict[str, Any], path: Path) -> None:
    """Sessions against stable delay, a live step by its parts, a pass beside its floor; what is missing is left out."""
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(15, 4.5), layout="constrained")
    stages = results["stages"]
    card = stages.get("machine", {}).get("card", "processor")
    for name, key, colour in (("sessions", "base", "#0b6e99"), ("turbo", "turbo", "#d9730d")):
        rows = stages.get(name, {}).get(key) or stages.get(name, {}).get("so_far") or []
        rows = [row for row in rows if row["stable_p90"] is not None]
        left.plot([r["sessions"] for r in rows], [r["stable_p90"] for r in rows], "o-", color=colour, label=key)
    left.axhline(GOOD_SECONDS, linestyle=":", color="grey")
    left.set(title=f"{card}: stable delay p90", xlabel="sessions, one step a second", ylabel="seconds")
    left.legend()
    steps = stages.get("parts", {}).get("steps", [])
    bottom = [0.0] * len(steps)
    for section in STAGES:
        heights = [1000 * step.get(section, 0.0) for step in steps]
        middle.bar([str(step["rows"]) for step in steps], heights, bottom=bottom, label=section)
        bottom = [a + b for a, b in zip(bottom, heights, strict=True)]
    middle.set(title="a live step of base by its parts", xlabel="streams", ylabel="ms")
    middle.legend()
    passes = stages.get("parts", {}).get("choices", [])
    scale = "log" if passes else "linear"
    rate = stages.get("machine", {}).get("copied_bytes_per_second")
    right.plot([p["rows"] for p in passes], [1000 * p["seconds"] for p in passes], "o-", label="a pass")
    if rate:
        right.plot([p["rows"] for p in passes], [1000 * p["least_bytes"] / rate for p in passes], ":", label="floor")
    right.set(title="one token for every row, base", xlabel="rows", ylabel="ms", xscale=scale, yscale=scale)
    right.legend()
    figure.savefig(path, dpi=110)
    plt.close(figure)

"""Work in progress, as one line with a bar that moves."""

from __future__ import annotations

import time
from html import escape

from openmic.notebook.place import Area

_INTERVAL_SECONDS = 0.2  # a download reports far more often than an eye can follow


class NotebookProgress:
    """A ``ProgressCallback`` for a notebook's cell."""

    def __init__(self) -> None:
        self._area = Area()
        self._what = ""
        self._drawn_at = 0.0

    def __call__(self, what: str, fraction: float | None) -> None:
        now = time.monotonic()
        ended = fraction is not None and fraction >= 1
        if what == self._what and not ended and now - self._drawn_at < _INTERVAL_SECONDS:
            return
        self._what, self._drawn_at = what, now
        bar = "" if fraction is None else f'<progress value="{fraction:.3f}" max="1" aria-hidden="true"></progress> '
        percent = "" if fraction is None else f" {fraction:.0%}"
        self._area.show(f"<div>{bar}{escape(what)}{percent}</div>", f"{what}{percent}")

    def close(self) -> None:
        """Nothing is left open."""

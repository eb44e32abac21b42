"""Work in progress, as one line with a bar that moves.

Not by rich, as in a terminal: in a notebook its bar is an ipywidgets Output, of which a saved notebook, and one that
papermill ran, keeps the words "Output()" and an empty line. This display keeps what was done.
"""

from __future__ import annotations

import time
from html import escape

from openmic.notebook.output import Area

_INTERVAL_SECONDS = 0.2  # a download reports far more often than an eye can follow


class NotebookProgress:
    """A ``ProgressCallback`` for a notebook's cell: what is done stays, what is under way moves."""

    def __init__(self) -> None:
        self._area = Area()
        self._done: list[str] = []
        self._what = ""
        self._drawn_at = 0.0

    def __call__(self, what: str, fraction: float | None) -> None:
        """Show how far ``what`` is, 0..1; None where nobody knows."""
        now = time.monotonic()
        ended = fraction is not None and fraction >= 1
        if what == self._what and not ended and now - self._drawn_at < _INTERVAL_SECONDS:
            return
        self._what, self._drawn_at = what, now
        if ended and what not in self._done:
            self._done.append(what)
        rows = [f"<div>✓ {escape(one)}</div>" for one in self._done]
        lines = [f"✓ {one}" for one in self._done]
        if not ended:
            bar = (
                "" if fraction is None else f'<progress value="{fraction:.3f}" max="1" aria-hidden="true"></progress> '
            )
            percent = "" if fraction is None else f" {fraction:.0%}"
            rows.append(f"<div>{bar}{escape(what)}{percent}</div>")
            lines.append(f"{what}{percent}")
        self._area.show("".join(rows), "\n".join(lines))

    def close(self) -> None:
        """Nothing is left open."""

"""What openmic shows in a terminal: work in progress, problems, the QR code of a link.

A terminal's last line is drawn again as work goes on; a file or a pipe gets lines that stay.
"""

from __future__ import annotations

import sys
from io import StringIO
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from openmic.errors import OpenmicError

PROGRESS_STEP = 0.25  # into a file, progress is written at each quarter


def make_console(out: TextIO) -> Console | None:
    """A console whose last lines can be drawn again; None where ``out`` is a file, a pipe or a terminal that cannot.

    It takes texts as they are: no markup, no highlighting.
    """
    console = Console(file=out, force_terminal=out.isatty(), force_jupyter=False, highlight=False, markup=False)
    return None if not console.is_terminal or console.is_dumb_terminal else console


def printable(text: str) -> str:
    """Text of others without what would steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


class TerminalProgress:
    """A ``ProgressCallback`` for a terminal: work under way is a bar that moves, finished work stays as a line.

    Into a file or a pipe it writes a line when work begins and at each quarter of it. ``close`` gives the terminal
    back.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._console = make_console(self._out)
        self._bar: Progress | None = None
        self._what = ""
        self._written = 0.0

    def __call__(self, what: str, fraction: float | None) -> None:
        """Show how far ``what`` is, 0..1; None where that is not known."""
        if self._console is not None:
            self._draw(self._console, what, fraction)
        else:
            self._write(what, fraction)

    def close(self) -> None:
        """Leave what was under way as a line; another call begins again."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
            self._out.write(f"{self._what}\n")
            self._out.flush()
        self._what = ""

    def _draw(self, console: Console, what: str, fraction: float | None) -> None:
        ended = fraction is not None and fraction >= 1
        if what != self._what:
            self.close()
            self._what = what
            # Not `redirect_*`: Python's own streams belong to the whole process.
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TaskProgressColumn(),
                console=console,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.add_task(what, total=1.0)
            self._bar.start()
        if self._bar is None:  # this work has ended
            return
        if ended:
            self.close()
            self._what = what
        else:
            task = self._bar.tasks[0].id
            self._bar.update(task, total=None if fraction is None else 1.0, completed=fraction or 0.0)

    def _write(self, what: str, fraction: float | None) -> None:
        further = fraction is not None and fraction < 1 and fraction - self._written >= PROGRESS_STEP
        if what != self._what or further:
            self._out.write(f"{what}{'' if not fraction or fraction >= 1 else f'  {fraction:.0%}'}\n")
            self._out.flush()
            self._what, self._written = what, fraction or 0.0


def qr_code(link: str, out: TextIO) -> str:
    """``link`` as a QR code of block characters, "" where ``out`` cannot show them."""
    import segno

    try:
        "█▀▄".encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ""
    drawing = StringIO()
    segno.make(link, error="l", micro=False).terminal(drawing, border=2, compact=True)
    return drawing.getvalue()


def complain(error: OpenmicError, out: TextIO | None = None) -> None:
    """What happened, why, and what to do, on lines of their own."""
    out = out or sys.stderr
    for label, sentence in (("", error.what), ("Why: ", error.why), ("What to do: ", error.hint)):
        if sentence:
            out.write(f"{label}{printable(sentence)}\n")
    out.flush()

"""How openmic shows itself in a terminal: work in progress, problems, the QR code of a link.

On a terminal one line is rewritten in place; into a file or a pipe every change is a line of its own.
"""

from __future__ import annotations

import shutil
import sys
import unicodedata
from io import StringIO
from typing import TextIO

from openmic.errors import OpenmicError

CLEAR_LINE = "\r\x1b[2K"
PROGRESS_STEP = 0.25  # into a file, progress is written at each quarter


def printable(text: str) -> str:
    """Text of others without what would steer a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def columns(text: str) -> int:
    """How many cells of a terminal ``text`` takes."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


class TerminalProgress:
    """A ``ProgressCallback`` for a terminal."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._rewrite = self._out.isatty()
        self._what = ""
        self._shown = 0.0

    def __call__(self, what: str, fraction: float | None) -> None:
        """Show how far ``what`` is, 0..1; None where nobody knows."""
        new = what != self._what
        if self._rewrite:
            if new and self._what:
                self._out.write("\n")
            done = "" if fraction is None or (new and fraction >= 1) else f"  {fraction:4.0%}"
            width = shutil.get_terminal_size().columns - 1
            self._out.write(CLEAR_LINE + what[: width - len(done)] + done)
            if fraction is not None and fraction >= 1:
                self._out.write("\n")
                what = ""
        elif new or (fraction is not None and fraction < 1 and fraction - self._shown >= PROGRESS_STEP):
            self._out.write(f"{what}{'' if not fraction or fraction >= 1 else f'  {fraction:.0%}'}\n")
            self._shown = fraction or 0.0
        self._what = what
        self._out.flush()

    def close(self) -> None:
        """Leave the line."""
        if self._rewrite and self._what:
            self._out.write("\n")
            self._out.flush()
        self._what = ""


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

"""A stream's text in a terminal while it comes: one line of live text, commits above it, the final's changes."""

from __future__ import annotations

import time
from typing import TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.live import Live
from rich.text import Text

from openmic.client.caption import Caption
from openmic.client.eta import Remaining
from openmic.client.result import Message
from openmic.terminal import PROGRESS_STEP, make_console, printable

_MOST_CHANGES = 8  # of the final text that are shown
_CHANGE_COLUMNS = 40  # of each text in one of them


class LiveLines:
    """Prints a stream's text while it comes: on a terminal as flowing text, into a file a line for each message.

    ``close`` gives the terminal back; it is called also where the stream has failed.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._console = make_console(out)
        self._line: Live | None = None
        self._caption = Caption()
        self._taken = 0  # characters of the committed text that stand on finished lines or in `_open`
        self._open = ""  # the committed text of the last line
        self._remaining = Remaining()
        self._written = 0.0  # of the final text's progress, into a file

    def __call__(self, message: Message) -> None:
        """Show what ``message`` changes."""
        kind = message["type"]
        if kind == "connection":
            lost = "connection lost, trying again: " + str(message["detail"])
            self._note(lost if message["state"] == "lost" else "connected again")
        elif kind in ("warning", "error"):
            self._note(f"{message['message']} {message.get('hint') or ''}")
        elif kind == "progress":
            if message["stage"] == "finishing":
                self._progress(message)
        elif kind == "final":
            self.close()
            self._revised([one for one in message.get("revised") or () if one["kind"] == "words"])
        elif self._caption.update(message):
            if self._console is not None:
                self._draw(self._console)
            else:
                at = message["end"] if kind == "commit" else message["audio_seconds"]
                self._out.write(f"{at:7.1f} s  {kind:6}  {printable(message['text']).strip()}\n")
        self._out.flush()

    def close(self) -> None:
        """Leave the committed text; the next stream begins on a new line."""
        if self._line is not None:
            self._line.stop()
            self._line = None
            if self._open:
                self._out.write(f"{self._open}\n")
            self._out.flush()
        self._caption, self._taken, self._open = Caption(), 0, ""

    def _progress(self, message: Message) -> None:
        """How far the final text is: in place of the line until it is there, into a file at each quarter."""
        done, total = float(message["done_seconds"]), float(message["total_seconds"])
        fraction = done / total if total > 0 else 1.0
        left = self._remaining.update(message, time.monotonic())
        if self._console is not None:
            wait = f", about {_in_words(left)} left" if left is not None else ""
            self._show(self._console, Text(f"Final text: {fraction:.0%} done{wait}", style="dim"))
        elif fraction - self._written >= PROGRESS_STEP:
            self._written = fraction
            self._out.write(f"{total:7.1f} s  final   {fraction:.0%} done\n")

    def _revised(self, changes: list[Message]) -> None:
        """What the final text corrected, the first places of it."""
        for change in changes[:_MOST_CHANGES]:
            old, new = (_last_columns(printable(change[name]).strip(), _CHANGE_COLUMNS) for name in ("old", "new"))
            at = f"{change['start']:7.1f} s" if change.get("start") is not None else " " * 9
            what = f"{old} -> {new}" if old and new else f"added {new}" if new else f"left out {old}"
            self._out.write(f"{at}  revised {what}\n")
        if len(changes) > _MOST_CHANGES:
            self._out.write(f"{' ' * 9}  revised {len(changes) - _MOST_CHANGES} more places\n")

    def _draw(self, console: Console) -> None:
        """Committed lines that are full are printed for good; the last one is drawn again, live text dim behind it."""
        committed = printable(self._caption.committed)
        self._open += committed[self._taken :]
        self._taken = len(committed)
        *full, last = Text(self._open.lstrip()).wrap(console, console.width) or [Text()]
        for line in full:
            self._print(console, line.plain.rstrip())
        self._open = last.plain
        shown = _last_columns(self._open + printable(self._caption.live).rstrip(), console.width)
        live = min(len(shown), len(printable(self._caption.live).rstrip()))
        self._show(console, Text.assemble(shown[: len(shown) - live], (shown[len(shown) - live :], "dim")))

    def _show(self, console: Console, line: Text) -> None:
        line.no_wrap, line.overflow = True, "crop"
        if self._line is None:
            # Not `redirect_*`: Python's own streams belong to the whole process.
            self._line = Live(
                console=console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._line.start()
        self._line.update(line, refresh=True)

    def _print(self, console: Console, line: str) -> None:
        """A line that stays, above the one that is drawn again."""
        console.print(line, soft_wrap=True)

    def _note(self, text: str) -> None:
        text = printable(text).strip()
        if self._console is not None:
            self._print(self._console, text)
        else:
            self._out.write(f"{text}\n")


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _last_columns(text: str, width: int) -> str:
    while cell_len(text) > width:
        text = text[1:]
    return text

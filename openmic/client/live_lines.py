"""A stream's text in a terminal while it comes: one line of live text, commits above it, the final's changes."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

from openmic.client.caption import Caption
from openmic.client.eta import Remaining
from openmic.client.result import Message
from openmic.terminal import CLEAR_LINE, PROGRESS_STEP, columns, printable

DIM, PLAIN = "\x1b[2m", "\x1b[0m"
_MOST_CHANGES = 8  # of the final text that are shown
_CHANGE_COLUMNS = 40  # of each text in one of them


class LiveLines:
    """Prints a stream's text while it comes."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._rewrite = out.isatty()
        self._caption = Caption()
        self._printed = 0  # characters of the committed text that stand on finished lines
        self._remaining = Remaining()
        self._told = 0.0  # of the final text's progress, into a file

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
            if self._rewrite:
                self._draw()
            else:
                at = message["end"] if kind == "commit" else message["audio_seconds"]
                self._out.write(f"{at:7.1f} s  {kind:6}  {printable(message['text']).strip()}\n")
        self._out.flush()

    def close(self) -> None:
        """Leave the line."""
        if self._rewrite:
            self._out.write(CLEAR_LINE)
            if self._caption.text:
                self._caption.live = ""
                self._draw()
                self._out.write("\n")
            self._out.flush()
        self._caption, self._printed = Caption(), 0

    def _progress(self, message: Message) -> None:
        """How far the final text is: in place of the line until it is there, into a file at each quarter."""
        done, total = float(message["done_seconds"]), float(message["total_seconds"])
        fraction = done / total if total > 0 else 1.0
        left = self._remaining.update(message, time.monotonic())
        if self._rewrite:
            wait = f", about {_in_words(left)} left" if left is not None else ""
            width = max(20, shutil.get_terminal_size().columns - 1)
            self._out.write(f"{CLEAR_LINE}{DIM}{f'Final text: {fraction:.0%} done{wait}'[:width]}{PLAIN}")
        elif fraction - self._told >= PROGRESS_STEP:
            self._told = fraction
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

    def _draw(self) -> None:
        width = max(20, shutil.get_terminal_size().columns - 1)
        committed = printable(self._caption.committed)
        while columns(committed[self._printed :].lstrip()) > width:
            line = _first_line(committed[self._printed :], width)
            self._out.write(CLEAR_LINE + line.lstrip() + "\n")
            self._printed += len(line)
        here = committed[self._printed :].lstrip()
        shown = _last_columns(here + printable(self._caption.live), width)
        live = min(len(shown), len(self._caption.live))
        self._out.write(f"{CLEAR_LINE}{shown[: len(shown) - live]}{DIM}{shown[len(shown) - live :]}{PLAIN}")

    def _note(self, text: str) -> None:
        self._out.write(f"{CLEAR_LINE if self._rewrite else ''}{printable(text).strip()}\n")
        if self._rewrite:
            self._draw()


def _in_words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def _first_line(text: str, width: int) -> str:
    """As many whole words of ``text`` as fit; at least one character."""
    end = len(text)
    while columns(text[:end].lstrip()) > width:
        end -= 1
    space = text.rfind(" ", 1, end + 1)
    return text[: space if text[:space].strip() and space > 0 else max(1, end)]


def _last_columns(text: str, width: int) -> str:
    while columns(text) > width:
        text = text[1:]
    return text

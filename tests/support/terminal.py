"""A real pseudo-terminal with an emulator behind it: what a person would see of what a program writes."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TextIO

import pyte


class TerminalScreen:
    """The screen of a terminal.

    Attributes:
        out: write here what the terminal is to show.
        written: all bytes that came, as text.
    """

    def __init__(self, columns: int, lines: int) -> None:
        self._master, self._slave = pty.openpty()
        fcntl.ioctl(self._slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        os.set_blocking(self._master, False)
        self.out: TextIO = open(self._slave, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 -- closed by `close`
        self.written = ""
        self._screen = pyte.Screen(columns, lines)
        self._emulator = pyte.Stream(self._screen)

    @property
    def lines(self) -> list[str]:
        """What stands on the screen, without the empty lines below."""
        self._take()
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    @property
    def column(self) -> int:
        """Where the cursor stands in its line; 0 is the first."""
        self._take()
        return int(self._screen.cursor.x)

    @property
    def cursor_hidden(self) -> bool:
        """Whether the cursor is invisible."""
        self._take()
        return bool(self._screen.cursor.hidden)

    def run(self, command: Sequence[str], environment: Mapping[str, str], seconds: float = 60.0) -> int:
        """Run a program in the terminal, to its end; gives its exit status."""
        with subprocess.Popen(
            command, stdin=self._slave, stdout=self._slave, stderr=self._slave, env=dict(environment), close_fds=True
        ) as process:
            while True:
                try:
                    return process.wait(0.05)
                except subprocess.TimeoutExpired:
                    self._take()  # a terminal that is full would hold the program up
                    seconds -= 0.05
                    assert seconds > 0, self.written

    def close(self) -> None:
        """Close both ends."""
        self.out.close()
        os.close(self._slave)
        os.close(self._master)

    def _take(self) -> None:
        self.out.flush()
        while True:
            try:
                text = os.read(self._master, 65536).decode()
            except BlockingIOError:
                return
            self.written += text
            self._emulator.feed(text)


@contextmanager
def terminal(columns: int = 80, lines: int = 24) -> Iterator[TerminalScreen]:
    """A terminal of this size."""
    screen = TerminalScreen(columns, lines)
    try:
        yield screen
    finally:
        screen.close()

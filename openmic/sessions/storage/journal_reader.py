"""The audio bytes of a journal as a file that may still be growing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Pieces(Protocol):
    """What a reader needs of a journal; see ``Journal``."""

    def wait_for(self, offset: int, on_caught_up: Callable[[], None]) -> bool:
        """Wait until there is an audio byte at ``offset``; False if there never will be."""

    def piece_at(self, offset: int, place: tuple[int, int] | None = None) -> tuple[int, bytes, tuple[int, int]]:
        """The piece that holds the audio byte at ``offset``: where it begins, its bytes, where the next one is."""


class JournalReader:
    """One reader's place in a journal's audio: an ``openmic.audio.types.ByteSource``."""

    def __init__(self, journal: Pieces, on_caught_up: Callable[[], None] | None) -> None:
        self._journal = journal
        self._on_caught_up = on_caught_up
        self._offset = 0
        self._piece_start = 0
        self._piece = b""
        self._next: tuple[int, int] | None = None
        self.waiting = False  # for more bytes, with all before them read and worked on

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes from the current offset; waits for at least one; ``b""`` only at the end."""
        if size <= 0:
            return b""
        there = self._journal.wait_for(self._offset, self._catch_up)
        self.waiting = False
        if not there:
            return b""
        if not self._piece_start <= self._offset < self._piece_start + len(self._piece):
            self._piece_start, self._piece, self._next = self._journal.piece_at(self._offset, self._next)
        begin = self._offset - self._piece_start
        data = self._piece[begin : begin + size]
        self._offset += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to ``offset`` (``whence`` 0: from the start, 1: from here), also beyond what has arrived."""
        if whence not in (0, 1):
            raise ValueError(f"whence is 0 or 1 in a file that may still grow, not {whence}")
        target = offset + (self._offset if whence == 1 else 0)
        if target < 0:
            raise ValueError(f"offset {target} is before the start")
        self._offset = target
        return target

    def tell(self) -> int:
        """The current offset, in bytes."""
        return self._offset

    def _catch_up(self) -> None:
        self.waiting = True
        if self._on_caught_up is not None:
            self._on_caught_up()

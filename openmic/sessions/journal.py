"""The bytes a client sent, on disk, before anybody acknowledges them.

One writer appends; any number of readers follow. A reader waits where the journal still grows, and sees its end once
``end`` was called; ``abort`` makes every reader end where it stands.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path


class Journal:
    """An append-only file of a client's bytes.

    Raises:
        OSError: the file cannot be created, or (from ``append``) written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._grown = threading.Condition()
        self._length = 0
        self._ended = False
        self._aborted = False
        self._closed = False

    def __len__(self) -> int:
        return self._length

    def append(self, data: bytes) -> int:
        """Write ``data`` behind what is there; returns the new length in bytes once the file holds them.

        A write that fails half-way leaves the length as it was, so the next append overwrites the torn part.

        Raises:
            OSError: the disk is full or gone.
            ValueError: the journal has ended.
        """
        if self._ended:
            raise ValueError("the journal has ended")
        view = memoryview(data)
        offset = self._length
        while view:
            written = os.pwrite(self._file, view, offset)
            offset += written
            view = view[written:]
        with self._grown:
            self._length = offset
            self._grown.notify_all()
        return offset

    def end(self) -> None:
        """No more bytes will come; readers get what is there, then the end."""
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    def abort(self) -> None:
        """End, and let readers end at once, before what they have not read yet."""
        with self._grown:
            self._ended = self._aborted = True
            self._grown.notify_all()

    def reader(self, on_caught_up: Callable[[], None] | None = None) -> JournalReader:
        """A reader at byte 0; ``on_caught_up`` is called whenever it is about to wait for more."""
        return JournalReader(self, on_caught_up)

    def read_at(self, offset: int, size: int, on_caught_up: Callable[[], None]) -> bytes:
        """At least one and up to ``size`` bytes at ``offset``, waiting for them; ``b""`` at the end."""
        if size <= 0:
            return b""
        while True:
            with self._grown:
                if self._aborted or (self._ended and offset >= self._length):
                    return b""
                if offset < self._length:
                    size = min(size, self._length - offset)
                    return os.pread(self._file, size, offset)
                length = self._length
            on_caught_up()
            with self._grown:
                while self._length == length and not self._ended:
                    self._grown.wait()

    def close(self) -> None:
        """Abort, and give the descriptor back; safe to call again."""
        self.abort()
        with self._grown:
            if not self._closed:
                self._closed = True
                os.close(self._file)

    def delete(self) -> None:
        """Close and remove the file; safe to call again."""
        self.close()
        self.path.unlink(missing_ok=True)


class JournalReader:
    """One reader's place in a journal: an ``openmic.audio.types.ByteSource``."""

    def __init__(self, journal: Journal, on_caught_up: Callable[[], None] | None) -> None:
        self._journal = journal
        self._on_caught_up = on_caught_up
        self._offset = 0
        self.waiting = False  # for more bytes, with all before them read and worked on

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes from the current offset; waits for at least one; ``b""`` only at the end."""
        data = self._journal.read_at(self._offset, size, self._catch_up)
        self.waiting = False
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

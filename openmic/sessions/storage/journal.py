"""What one session must not forget, on disk: the bytes its client sent, and what it was told.

One file of checked records (``records``), append-only. A record is written before anybody is told of it, so whatever
ends this process, the next one finds it; ``sync`` forces it to the disk, against a loss of power. One writer appends;
any number of readers follow the audio bytes. A reader waits where the journal still grows, and sees its end once
``end`` was called; ``abort`` makes every reader end where it stands. The process that has the journal open to write
holds its lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from array import array
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from openmic.sessions.storage.journal_reader import JournalReader
from openmic.sessions.storage.record_file import (
    HEAD,
    MAGIC,
    DamagedRecord,
    Ending,
    Kind,
    Scan,
    frame,
    read_record,
    write_all,
)

INDEX_BYTES = 65_536  # of audio between two entries of a journal's index
NOT_KEPT = (Kind.AUDIO, Kind.FLUSHED, Kind.RECOVERED, Kind.COMPACTED, Kind.WALKED)  # in a compact journal
NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)  # from file systems that have none


class InUse(Exception):
    """Another process has this journal open to write."""


def lock(file: int) -> None:
    """Take the lock of an open file; it goes with the descriptor, however the process ends.

    Raises:
        InUse: another descriptor has it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise InUse from error
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise


class Journal:
    """An append-only file of records; ``create`` or ``reopen`` makes one.

    Args:
        path: of the file.
        file: its descriptor, locked.
        confirm: called behind everything that was written, before anybody hears of it; what it raises says that the
            file is another process's by now (``Lease.confirm``).
    """

    def __init__(self, path: Path, file: int, confirm: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self._file = file
        self._confirm = confirm
        self._grown = threading.Condition()
        self._end = len(MAGIC)  # of the file, in bytes
        self._length = 0  # audio bytes
        self._index_starts = array("Q")  # audio bytes before a record, and
        self._index_places = array("Q")  # where in the file it begins
        self._dirty = False
        self._failure: OSError | None = None
        self._ended = False
        self._aborted = False
        self._closed = False

    @classmethod
    def create(cls, path: Path, confirm: Callable[[], None] = lambda: None) -> Journal:
        """Begin a new file.

        Raises:
            OSError: it is there already, or cannot be created.
        """
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            lock(file)
            write_all(file, MAGIC, 0)
        except BaseException:
            os.close(file)
            raise
        return cls(path, file, confirm)

    @classmethod
    def reopen(cls, path: Path, file: int, good_bytes: int, confirm: Callable[[], None] = lambda: None) -> Journal:
        """Go on with the first ``good_bytes`` bytes of ``file``, which must be locked; the rest is cut off."""
        os.ftruncate(file, good_bytes)
        journal = cls(path, file, confirm)
        journal._find_messages()
        return journal

    @classmethod
    def look_into(cls, path: Path) -> Journal:
        """Read what is there now of a file that others may be writing to; nothing may be written.

        Raises:
            OSError: it cannot be opened.
        """
        journal = cls(path, os.open(path, os.O_RDONLY))
        journal._find_messages()
        journal.end()
        return journal

    def __len__(self) -> int:
        """How many audio bytes there are."""
        return self._length

    def append(self, data: bytes) -> int:
        """Write a client's next bytes; returns how many there are in all, once the file holds them.

        Raises:
            OSError: the disk is full or gone; the journal is as it was before.
            ValueError: the journal has ended.
            Exception: what ``confirm`` raises; the bytes count for nothing.
        """
        if self._ended:
            raise ValueError("the journal has ended")
        if not data:
            return self._length
        with self._grown:
            start = self._end
            self._write(Kind.AUDIO, data)
            self._confirm()
            self._note(len(data), start)
            self._grown.notify_all()
            return self._length

    def record(self, kind: Kind, payload: bytes) -> None:
        """Write something else than audio, also after ``end``; nothing happens once the journal is closed.

        Raises:
            OSError: the disk is full or gone; the journal is as it was before.
            Exception: what ``confirm`` raises; the record counts for nothing.
        """
        with self._grown:
            if not self._closed:
                self._write(kind, payload)
                self._confirm()

    def sync(self) -> None:
        """Force what was written to the disk. If that fails, nothing more is taken: what is there is unknown."""
        with self._grown:
            if not self._dirty or self._closed:
                return
            file = os.dup(self._file)  # where no descriptor is left, a later round tries again
            self._dirty = False
        try:
            os.fsync(file)
        except OSError as error:
            self._failure = error
        finally:
            os.close(file)

    def end(self) -> None:
        """No more audio will come; readers get what is there, then the end."""
        with self._grown:
            self._ended = True
            self._grown.notify_all()

    def abort(self) -> None:
        """End, and let readers end at once, before what they have not read yet."""
        with self._grown:
            self._ended = self._aborted = True
            self._grown.notify_all()

    def reader(self, on_caught_up: Callable[[], None] | None = None) -> JournalReader:
        """A reader at audio byte 0; ``on_caught_up`` is called whenever it is about to wait for more."""
        return JournalReader(self, on_caught_up)

    def wait_for(self, offset: int, on_caught_up: Callable[[], None]) -> bool:
        """Wait until there is an audio byte at ``offset``; False if there never will be."""
        while True:
            with self._grown:
                if self._aborted or (self._ended and offset >= self._length):
                    return False
                if offset < self._length:
                    return True
                length = self._length
            on_caught_up()
            with self._grown:
                while self._length == length and not self._ended:
                    self._grown.wait()

    def piece_at(self, offset: int, place: tuple[int, int] | None = None) -> tuple[int, bytes, tuple[int, int]]:
        """The message that holds audio byte ``offset``, which must be there.

        Args:
            offset: of the byte.
            place: what an earlier call returned last, to go on from there.

        Returns:
            How many audio bytes came before the message, its bytes, and the place of the next.

        Raises:
            DamagedRecord: the file no longer holds what was written.
        """
        with self._grown:
            if self._closed:
                raise DamagedRecord(errno.EIO, "the journal is closed")
            nearest = bisect_right(self._index_starts, offset) - 1
            indexed = (self._index_starts[nearest], self._index_places[nearest])
            before, start = max(place, indexed) if place is not None and place[0] <= offset else indexed
            size = self._end
            while True:
                _, kind, length, _ = HEAD.unpack(os.pread(self._file, HEAD.size, start))
                if kind == Kind.AUDIO:
                    if before + length > offset:
                        break
                    before += length
                start += HEAD.size + length
            record = read_record(self._file, start, size)
        if record is None:
            raise DamagedRecord(errno.EIO, "the journal is damaged")
        return before, record.payload, (before + len(record.payload), record.end)

    def compact(self) -> None:
        """Put a file without the audio bytes in this one's place, at one moment, and close.

        Raises:
            OSError: the disk is full or gone; the journal is as it was before.
        """
        other = self.path.with_name(self.path.name + ".new")
        file = os.open(other, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            end = write_all(file, MAGIC, 0)
            scan = Scan(self._file)
            for record in scan:
                if record.kind not in NOT_KEPT:
                    end = write_all(file, frame(Kind(record.kind), record.payload, end), end)
                if record.kind == Kind.OPENED:
                    end = write_all(file, frame(Kind.COMPACTED, b"", end), end)
            if scan.ending is not Ending.CLEAN:
                raise DamagedRecord(errno.EIO, "the journal is damaged")
            os.fsync(file)
        except BaseException:
            other.unlink()
            raise
        finally:
            os.close(file)
        os.replace(other, self.path)
        self.close()

    def close(self) -> None:
        """Abort, and give the descriptor and the lock back; safe to call again."""
        self.abort()
        with self._grown:
            if not self._closed:
                self._closed = True
                os.close(self._file)

    def _write(self, kind: Kind, payload: bytes) -> None:
        if self._failure is not None:
            raise self._failure
        self._end = write_all(self._file, frame(kind, payload, self._end), self._end)
        self._dirty = True

    def _find_messages(self) -> None:
        """Note all messages of the file in the index."""
        for record in Scan(self._file):
            if record.kind == Kind.AUDIO:
                self._note(len(record.payload), record.start)
            self._end = record.end

    def _note(self, length: int, start: int) -> None:
        if not self._index_starts or self._length - self._index_starts[-1] >= INDEX_BYTES:
            self._index_starts.append(self._length)
            self._index_places.append(start)
        self._length += length

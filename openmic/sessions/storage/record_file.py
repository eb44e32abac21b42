"""Checked records in an append-only file: the form of a session's journal and of its recording.

    file   = MAGIC record*
    record = SYNC kind:u8 length:u32 digest:8 bytes payload

The digest (BLAKE2b) covers the record's place in the file, its kind, its length and its payload, so a record is
accepted only where it was written and as it was written. A file that a dying process left ends in a torn record, which
readers cut off; where a valid record follows what cannot be read, the file was damaged, and readers say so.
"""

from __future__ import annotations

import enum
import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

MAGIC = b"OPENMIC\x01"  # the last byte is the format's version
SYNC = b"\xa5omR"
HEAD = struct.Struct("<4sBI8s")
DIGEST_BYTES = 8
LARGEST_PAYLOAD = 0x1000_0000  # bytes; nothing that is written comes near it
SEARCH_BYTES = 1_048_576  # read at once while looking for a record behind damage


class Kind(enum.IntEnum):
    """What a record says; the payloads are described in ``replay``."""

    OPENED = 1
    PACKED = 2  # audio bytes as earlier versions kept them; not read any more
    FLUSHED = 3
    STOPPED = 4
    COMMITTED = 5
    FINALISED = 6
    ENDED = 7
    FAILED = 8
    RECOVERED = 9
    COMPACTED = 10
    SOUND = 11  # in a recording
    AUDIO = 12  # a client's bytes as they came
    WALKED = 13  # windows of the final pass; versions that do not know it begin that again


class NotRecords(ValueError):
    """The file does not begin with MAGIC: another program's, another version's, or broken from its start."""


class DamagedRecord(OSError):
    """A record that was read before is no longer what was written."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record: its kind, its payload, and where in the file it begins and ends (bytes)."""

    kind: int
    payload: bytes
    start: int
    end: int


class Ending(enum.Enum):
    """What follows the last good record."""

    CLEAN = "clean"  # nothing
    TORN = "torn"  # the beginning of a record that was never finished, or what is left of one
    DAMAGED = "damaged"  # something that cannot be read, and good records behind it


def frame(kind: Kind, payload: bytes, offset: int) -> bytes:
    """The record's bytes as they stand at ``offset`` in the file."""
    return HEAD.pack(SYNC, kind, len(payload), _digest(offset, kind, payload)) + payload


def read_record(file: int, offset: int, size: int) -> Record | None:
    """The record at ``offset`` of a file of ``size`` bytes; None where none stands there whole and unharmed."""
    head = os.pread(file, HEAD.size, offset)
    if len(head) < HEAD.size:
        return None
    sync, kind, length, digest = HEAD.unpack(head)
    start = offset + HEAD.size
    if sync != SYNC or length > LARGEST_PAYLOAD or start + length > size:
        return None
    payload = os.pread(file, length, start)
    if len(payload) < length or _digest(offset, kind, payload) != digest:
        return None
    return Record(kind, payload, offset, start + length)


class Scan:
    """The records of an open file, in order, as far as they are good; iterate once.

    Attributes:
        good_bytes: where the last good record seen so far ends.
        ending: what follows it; true once the iteration is over.

    Raises:
        NotRecords: the file does not begin with MAGIC.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._size = os.fstat(file).st_size
        if os.pread(file, len(MAGIC), 0) != MAGIC:
            raise NotRecords
        self.good_bytes = len(MAGIC)
        self.ending = Ending.CLEAN

    def __iter__(self) -> Iterator[Record]:
        while record := read_record(self._file, self.good_bytes, self._size):
            self.good_bytes = record.end
            yield record
        if self.good_bytes < self._size:
            self.ending = Ending.DAMAGED if self._good_record_after(self.good_bytes + 1) else Ending.TORN

    def _good_record_after(self, offset: int) -> bool:
        while data := os.pread(self._file, SEARCH_BYTES, offset):
            place = data.find(SYNC)
            while place >= 0:
                if read_record(self._file, offset + place, self._size) is not None:
                    return True
                place = data.find(SYNC, place + 1)
            if len(data) < len(SYNC):
                return False
            offset += len(data) - len(SYNC) + 1
        return False


def write_all(file: int, data: bytes, offset: int) -> int:
    """Write all of ``data`` at ``offset``; returns where it ends.

    A write that fails takes what it wrote back, as far as that is possible.

    Raises:
        OSError: the disk is full or gone.
    """
    view, place = memoryview(data), offset
    try:
        while view:
            written = os.pwrite(file, view, place)
            place += written
            view = view[written:]
    except OSError:
        if place > offset:
            os.ftruncate(file, offset)
        raise
    return place


def _digest(offset: int, kind: int, payload: bytes) -> bytes:
    place = struct.pack("<QBI", offset, kind, len(payload))
    return hashlib.blake2b(place + payload, digest_size=DIGEST_BYTES).digest()

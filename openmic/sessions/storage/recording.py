"""A session's samples on disk, compactly, while they still grow: FLAC blocks of 16 kHz mono.

Memory stays flat however long the session is: the block that is not full yet is in memory, with the blocks read last.
Nothing here must outlive a crash by itself: the journal has the bytes that the samples were decoded from.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
from array import array
from collections import OrderedDict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.sessions.storage.packing import decode_flac, encode_flac
from openmic.sessions.storage.record_file import MAGIC, DamagedRecord, Kind, Scan, frame, read_record, write_all

BLOCK_SAMPLES = 8 * SAMPLE_RATE
KEPT_BLOCKS = 4  # that were read last; a live step looks at two or three, again and again
FULL_SCALE = 32_768
COUNT = struct.Struct("<I")  # samples in a block


class DiskRecording:
    """The samples of one session (``openmic.speech.types.Recording``); one thread appends, any thread reads.

    What stands at ``path`` is replaced; ``DiskRecording.stored`` opens what is there instead.

    Raises:
        OSError: the file cannot be created, or (from ``append`` and ``complete``) written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._places = array("Q")  # of blocks, each of BLOCK_SAMPLES but the last of a complete recording
        self._stored = 0  # samples in blocks
        self._rest = np.zeros(0, np.int16)  # after them
        self._blocks: OrderedDict[int, NDArray[np.int16]] = OrderedDict()
        self._file: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._end = write_all(self._file, MAGIC, 0)

    @classmethod
    def stored(cls, path: Path) -> DiskRecording:
        """What there is of a recording whose session has gone, to be read; empty where there is nothing readable."""
        recording = cls.__new__(cls)
        recording.path = path
        recording._lock = threading.Lock()
        recording._places = array("Q")
        recording._stored = 0
        recording._rest = np.zeros(0, np.int16)
        recording._blocks = OrderedDict()
        recording._file = None
        try:
            file = os.open(path, os.O_RDONLY)
        except OSError:
            return recording
        try:
            for record in Scan(file):
                recording._places.append(record.start)
                recording._stored += COUNT.unpack_from(record.payload)[0]
        except ValueError:
            pass
        finally:
            os.close(file)
        return recording

    def __len__(self) -> int:
        return self._stored + len(self._rest)

    @property
    def seconds(self) -> float:
        """The duration so far."""
        return len(self) / SAMPLE_RATE

    def append(self, samples: Samples) -> None:
        """Add ``samples`` (float32, clipped to -1..1) at the end; nothing happens once it is complete."""
        scaled = np.clip(np.rint(samples * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        with self._lock:
            if self._file is None:
                return
            rest = np.concatenate([self._rest, scaled])
            while len(rest) >= BLOCK_SAMPLES:
                self._write(rest[:BLOCK_SAMPLES])
                rest = rest[BLOCK_SAMPLES:].copy()
            self._rest = rest

    def read(self, start: int, stop: int) -> Samples:
        """Samples ``start`` to ``stop``, clipped to what is there; shape (n,), float32.

        Raises:
            DamagedRecord: the file no longer holds what was written.
        """
        return self._read(start, stop).astype(np.float32) / np.float32(FULL_SCALE)

    def read_pcm(self, start: int, stop: int) -> bytes:
        """Samples ``start`` to ``stop`` as s16le bytes; fewer, or none, once the recording was deleted.

        Raises:
            DamagedRecord: the file no longer holds what was written.
        """
        return self._read(start, stop).astype("<i2").tobytes()

    def complete(self) -> None:
        """Write the block that is not full; nothing can be added from now on. Safe to call again."""
        with self._lock:
            if self._file is None:
                return
            try:
                if len(self._rest):
                    rest, self._rest = self._rest, self._rest[:0]
                    try:
                        self._write(rest)
                    except OSError:
                        self._rest = rest
                        raise
            finally:
                os.close(self._file)
                self._file = None

    def sync(self) -> None:
        """Force a complete recording to the disk."""
        file = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def forget(self) -> None:
        """Give up what is in memory: the file is being deleted. Its length stays known."""
        with self._lock:
            self._blocks.clear()
            self._stored, self._rest = len(self), self._rest[:0]

    def _write(self, block: NDArray[np.int16]) -> None:
        assert self._file is not None
        record = frame(Kind.SOUND, COUNT.pack(len(block)) + encode_flac(block), self._end)
        end = write_all(self._file, record, self._end)
        self._keep(len(self._places), block)
        self._places.append(self._end)
        self._end = end
        self._stored += len(block)

    def _keep(self, number: int, block: NDArray[np.int16]) -> None:
        self._blocks[number] = block
        self._blocks.move_to_end(number)
        while len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)

    def _read(self, start: int, stop: int) -> NDArray[np.int16]:
        with self._lock:
            start, stop = max(0, start), min(stop, len(self))
            pieces = []
            while start < min(stop, self._stored):
                number, skip = divmod(start, BLOCK_SAMPLES)
                block = self._block(number)
                if block is None:
                    return np.zeros(0, np.int16)
                piece = block[skip : skip + stop - start]
                pieces.append(piece)
                start += len(piece)
            if start < stop:
                pieces.append(self._rest[start - self._stored : stop - self._stored])
            return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)

    def _block(self, number: int) -> NDArray[np.int16] | None:
        """A block's samples; None where the file has gone."""
        block = self._blocks.get(number)
        if block is None:
            if number >= len(self._places):
                return None
            try:
                file = os.open(self.path, os.O_RDONLY)
            except FileNotFoundError:
                return None
            try:
                record = read_record(file, self._places[number], os.fstat(file).st_size)
            finally:
                os.close(file)
            if record is None:
                raise DamagedRecord(errno.EIO, "the recording is damaged")
            block = decode_flac(record.payload[COUNT.size :])
        self._keep(number, block)
        return block

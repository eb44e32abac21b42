"""A session's samples on disk: plain s16le while they grow, FLAC blocks once the session is over.

A growing recording is read by position, with nothing to decode; 16 kHz mono takes 115 MB an hour. ``pack`` makes the
half of it, checked block by block. Nothing here must outlive a crash by itself: the journal has the bytes that the
samples were decoded from.
"""

from __future__ import annotations

import contextlib
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
from openmic.sessions.storage.flac import decode_flac, encode_flac
from openmic.sessions.storage.record_file import MAGIC, DamagedRecord, Kind, Scan, frame, read_record, write_all

BLOCK_SAMPLES = 8 * SAMPLE_RATE
KEPT_BLOCKS = 4  # of a packed recording, that were read last
FULL_SCALE = 32_768
SAMPLE_BYTES = 2
COUNT = struct.Struct("<I")  # samples in a block
GROWING = ".pcm"  # behind the name of the recording's file, while it grows


class DiskRecording:
    """The samples of one session (``openmic.speech.types.Recording``); one thread appends, any thread reads.

    What stands at ``path`` is replaced; ``DiskRecording.stored`` opens what is there instead.

    Args:
        path: of the packed recording; while it grows, its samples are in a file beside it.

    Raises:
        OSError: the file cannot be created, or (from ``append`` and ``pack``) written.
    """

    _file: int | None  # of what grows; None once that is packed

    def __init__(self, path: Path) -> None:
        self._begin(path)
        path.unlink(missing_ok=True)
        self._file = os.open(self._growing, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)

    def _begin(self, path: Path) -> None:
        self.path = path
        self._growing = path.with_name(path.name + GROWING)
        self._lock = threading.Lock()
        self._length = 0  # samples
        self._complete = False
        self._file = None
        self._places = array("Q")  # of blocks in the packed file, each of BLOCK_SAMPLES but the last
        self._blocks: OrderedDict[int, NDArray[np.int16]] = OrderedDict()

    @classmethod
    def stored(cls, path: Path) -> DiskRecording:
        """What there is of a recording whose session has gone, to be read; empty where there is nothing readable."""
        recording = cls.__new__(cls)
        recording._begin(path)
        recording._complete = True
        for _ in range(2):  # where it is packed at this moment, the plain samples go after the first look
            if recording._find_blocks():
                break
            with contextlib.suppress(OSError):
                recording._file = os.open(recording._growing, os.O_RDONLY)
                recording._length = os.fstat(recording._file).st_size // SAMPLE_BYTES
                break
        return recording

    def __del__(self) -> None:
        self._close()

    def __len__(self) -> int:
        return self._length

    @property
    def seconds(self) -> float:
        """The duration so far."""
        return len(self) / SAMPLE_RATE

    def append(self, samples: Samples) -> None:
        """Add ``samples`` (float32, clipped to -1..1) at the end; nothing happens once it is complete."""
        scaled = np.clip(np.rint(samples * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1).astype("<i2")
        with self._lock:
            if self._complete or self._file is None:
                return
            write_all(self._file, scaled.tobytes(), self._length * SAMPLE_BYTES)
            self._length += len(scaled)

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
        """Nothing can be added from now on. Safe to call again."""
        with self._lock:
            self._complete = True

    def pack(self) -> None:
        """Put FLAC blocks, forced to the disk, in the place of the plain samples; nothing can be added from now on.

        Readers go on meanwhile, and do not notice. Safe to call again.

        Raises:
            OSError: the disk is full or gone; the plain samples are still there.
        """
        self.complete()
        if self._file is None:
            return
        making = self.path.with_name(self.path.name + ".new")
        places = array("Q")
        file = os.open(making, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            end = write_all(file, MAGIC, 0)
            for start in range(0, self._length, BLOCK_SAMPLES):
                block = self._read(start, start + BLOCK_SAMPLES)
                if not len(block):
                    raise FileNotFoundError(errno.ENOENT, "the recording was deleted")
                places.append(end)
                end = write_all(file, frame(Kind.SOUND, COUNT.pack(len(block)) + encode_flac(block), end), end)
            os.fsync(file)
        except BaseException:
            with contextlib.suppress(OSError):
                making.unlink()
            raise
        finally:
            os.close(file)
        with self._lock:
            os.replace(making, self.path)
            self._places = places
            self._close()
        self._growing.unlink(missing_ok=True)

    def forget(self) -> None:
        """Give up what is in memory and open: the file is being deleted. Its length stays known."""
        with self._lock:
            self._complete = True
            self._blocks.clear()
            self._close()

    def _close(self) -> None:
        file, self._file = getattr(self, "_file", None), None
        if file is not None:
            os.close(file)

    def _find_blocks(self) -> bool:
        """Find the blocks of a packed file, as far as it is good; False where there is none."""
        try:
            file = os.open(self.path, os.O_RDONLY)
        except OSError:
            return False
        try:
            for record in Scan(file):
                self._places.append(record.start)
                self._length += COUNT.unpack_from(record.payload)[0]
        except ValueError:
            pass
        finally:
            os.close(file)
        return True

    def _read(self, start: int, stop: int) -> NDArray[np.int16]:
        with self._lock:
            start, stop = max(0, start), min(stop, self._length)
            if stop <= start:
                return np.zeros(0, np.int16)
            if self._file is not None:
                data = os.pread(self._file, (stop - start) * SAMPLE_BYTES, start * SAMPLE_BYTES)
                return np.frombuffer(data[: len(data) // SAMPLE_BYTES * SAMPLE_BYTES], "<i2").astype(np.int16)
            pieces = []
            while start < stop:
                number, skip = divmod(start, BLOCK_SAMPLES)
                block = self._block(number)
                if block is None:
                    return np.zeros(0, np.int16)
                piece = block[skip : skip + stop - start]
                if not len(piece):
                    break
                pieces.append(piece)
                start += len(piece)
            return np.concatenate(pieces) if pieces else np.zeros(0, np.int16)

    def _keep(self, number: int, block: NDArray[np.int16]) -> None:
        self._blocks[number] = block
        self._blocks.move_to_end(number)
        while len(self._blocks) > KEPT_BLOCKS:
            self._blocks.popitem(last=False)

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

"""A session's samples on disk: a 16 kHz mono WAV that may still be growing.

Memory stays flat however long the session is; the engine reads the stretch it needs, and the same file is the ``.wav``
download.
"""

from __future__ import annotations

import os
import struct
import threading
from pathlib import Path

import numpy as np

from openmic.audio.types import SAMPLE_RATE, Samples

HEADER_BYTES = 44
SAMPLE_BYTES = 2  # s16le
FULL_SCALE = 32_768
LARGEST_SIZE = 0xFFFF_FFFF  # what a WAV's 32-bit size fields can say; readers take it as "to the end"


def wav_header(samples: int) -> bytes:
    """The 44 bytes before ``samples`` mono s16le samples at 16 kHz."""
    size = samples * SAMPLE_BYTES
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        min(size + HEADER_BYTES - 8, LARGEST_SIZE),
        b"WAVE",
        b"fmt ",
        16,
        1,  # PCM
        1,  # channel
        SAMPLE_RATE,
        SAMPLE_RATE * SAMPLE_BYTES,
        SAMPLE_BYTES,
        8 * SAMPLE_BYTES,
        b"data",
        min(size, LARGEST_SIZE),
    )


class DiskRecording:
    """The samples of one session (``openmic.speech.types.Recording``); one thread appends, any thread reads.

    Raises:
        OSError: the file cannot be created, or (from ``append``) written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._samples = 0
        self._lock = threading.Lock()
        self._closed = False
        os.pwrite(self._file, wav_header(0), 0)

    def __len__(self) -> int:
        return self._samples

    @property
    def seconds(self) -> float:
        """The duration so far."""
        return self._samples / SAMPLE_RATE

    def append(self, samples: Samples) -> None:
        """Add ``samples`` (float32, clipped to -1..1) at the end; nothing happens once it is closed."""
        scaled = np.clip(np.rint(samples * np.float32(FULL_SCALE)), -FULL_SCALE, FULL_SCALE - 1)
        view = memoryview(scaled.astype("<i2").tobytes())
        with self._lock:
            if self._closed:
                return
            offset = HEADER_BYTES + self._samples * SAMPLE_BYTES
            while view:
                written = os.pwrite(self._file, view, offset)
                offset += written
                view = view[written:]
            self._samples += len(samples)

    def read(self, start: int, stop: int) -> Samples:
        """Samples ``start`` to ``stop``, clipped to what is there; shape (n,), float32."""
        start = max(0, start)
        stop = min(stop, self._samples)
        pcm = self.read_pcm(start, stop)
        return np.frombuffer(pcm, dtype="<i2").astype(np.float32) / np.float32(FULL_SCALE)

    def read_pcm(self, start: int, stop: int) -> bytes:
        """Samples ``start`` to ``stop`` as s16le bytes; fewer, or none, once the recording was deleted."""
        with self._lock:
            if self._closed or stop <= start:
                return b""
            return os.pread(self._file, (stop - start) * SAMPLE_BYTES, HEADER_BYTES + start * SAMPLE_BYTES)

    def complete(self) -> None:
        """Write the true length into the header: the file is a valid WAV from now on."""
        with self._lock:
            if not self._closed:
                os.pwrite(self._file, wav_header(self._samples), 0)

    def close(self) -> None:
        """Complete the file and give its descriptor back; reading yields nothing from now on. Safe to call again."""
        self.complete()
        with self._lock:
            if not self._closed:
                self._closed = True
                os.close(self._file)

    def delete(self) -> None:
        """Close and remove the file; safe to call again."""
        self.close()
        self.path.unlink(missing_ok=True)

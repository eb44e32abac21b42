"""Samples to files, for downloads. Chunk by chunk, so that an hour costs no more memory than a second."""

from __future__ import annotations

import wave
from collections.abc import Iterable, Iterator
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from openmic.audio.types import SAMPLE_RATE, Samples

LENGTH_FIELD = slice(18, 26)  # of a FLAC file (RFC 9639, section 8.2); its last 36 bits are the number of samples
LONGEST_FLAC = 2**36 - 1  # samples


def write_wav(path: Path, chunks: Iterable[Samples]) -> None:
    """Write ``chunks`` (mono, at SAMPLE_RATE) to ``path`` as WAV, 16-bit."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for chunk in chunks:
            file.writeframes(to_int16(chunk).astype("<i2").tobytes())


def flac_stream(chunks: Iterable[Samples], samples: int) -> Iterator[bytes]:
    """``chunks`` (mono, at SAMPLE_RATE) as a FLAC file, 16-bit, in pieces as they are ready.

    It has half a WAV's size and the same samples.

    Args:
        chunks: read one at a time, so that memory stays flat.
        samples: how many there are in all; it stands in the header, which goes out first.
    """
    written = _Pieces()
    with av.open(written, "w", format="flac") as file:
        track = file.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        position = 0
        for chunk in chunks:
            if len(chunk) == 0:
                continue
            frame = av.AudioFrame.from_ndarray(to_int16(chunk)[np.newaxis], format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            frame.pts = position
            position += len(chunk)
            file.mux(track.encode(frame))
            yield from written.take(samples)
        file.mux(track.encode(None))
    yield from written.take(samples)


class _Pieces:
    """A file that cannot be rewound, for FFmpeg to write to. It leaves the header's length at 0, so that is put in."""

    def __init__(self) -> None:
        self._held = bytearray()
        self._header_is_out = False

    def write(self, data: bytes) -> int:
        self._held += data
        return len(data)

    def take(self, samples: int) -> Iterator[bytes]:
        if not self._header_is_out and len(self._held) >= LENGTH_FIELD.stop:
            field = int.from_bytes(self._held[LENGTH_FIELD]) | min(samples, LONGEST_FLAC)
            self._held[LENGTH_FIELD] = field.to_bytes(8)
            self._header_is_out = True
        if self._header_is_out and self._held:
            yield bytes(self._held)
            self._held.clear()


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Float samples in -1..1 as 16-bit ones, shape unchanged; the decoder turns them back into the same floats."""
    scaled: NDArray[np.float32] = np.clip(np.rint(samples * 32768.0), -32768, 32767)
    return scaled.astype(np.int16)

"""Samples to files, for downloads. Chunk by chunk, so that an hour costs no more memory than a second."""

from __future__ import annotations

import wave
from collections.abc import Iterable
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from openmic.audio.types import SAMPLE_RATE, Samples


def write_wav(path: Path, chunks: Iterable[Samples]) -> None:
    """Write ``chunks`` (mono, at SAMPLE_RATE) to ``path`` as WAV, 16-bit."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        for chunk in chunks:
            file.writeframes(to_int16(chunk).astype("<i2").tobytes())


def write_flac(path: Path, chunks: Iterable[Samples]) -> None:
    """Write ``chunks`` (mono, at SAMPLE_RATE) to ``path`` as FLAC, 16-bit: half the size, not one sample different."""
    with av.open(str(path), "w", format="flac") as file:
        track = file.add_stream("flac", rate=SAMPLE_RATE, layout="mono")
        written = 0
        for chunk in chunks:
            if len(chunk) == 0:
                continue
            frame = av.AudioFrame.from_ndarray(to_int16(chunk)[np.newaxis], format="s16", layout="mono")
            frame.sample_rate = SAMPLE_RATE
            frame.pts = written
            written += len(chunk)
            file.mux(track.encode(frame))
        file.mux(track.encode(None))


def to_int16(samples: Samples) -> NDArray[np.int16]:
    """Float samples in -1..1 as 16-bit ones, shape unchanged; the decoder turns them back into the same floats."""
    scaled: NDArray[np.float32] = np.clip(np.rint(samples * 32768.0), -32768, 32767)
    return scaled.astype(np.int16)

"""Sound of any rate and any number of channels to what the rest of openmic hears: 16 kHz, mono, float32, in -1..1."""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
from numpy.typing import NDArray

from openmic.audio.types import SAMPLE_RATE, Samples

AUDIBLE_POWER = 1e-6  # of a channel, mean square: -60 dBFS
CANCELLED_POWER_RATIO = 1e-3  # of two channels' mean to the first: one is the other's inverse
AGAIN_POWER_RATIO = 1e-2  # above, they are not any more


class Resampler:
    """One stream's way to SAMPLE_RATE through libswresample; keeps a few milliseconds of filter state, nothing else."""

    def __init__(self) -> None:
        self._rate = SAMPLE_RATE
        self._swr: av.AudioResampler | None = None
        self._cancelling = False

    def push(self, sound: NDArray[np.generic], rate: int) -> Iterator[Samples]:
        """Take the next stretch of sound, yield what is ready.

        Args:
            sound: shape (n, channels); integers at full scale (uint8 with 128 as silence) or floats in -1..1.
            rate: in Hz; it may change from call to call.
        """
        if rate != self._rate:
            yield from self.flush()
            self._rate = rate
        mono = self._mono(sound)
        if self._rate == SAMPLE_RATE:
            yield from _pieces(mono)
            return
        if self._swr is None:
            self._swr = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        for piece in _pieces(mono, rate):
            frame = av.AudioFrame.from_ndarray(piece[np.newaxis], format="flt", layout="mono")
            frame.sample_rate = rate
            yield from self._resample(frame)

    def _mono(self, sound: NDArray[np.generic]) -> Samples:
        """The mean of all channels, shape (n,); the first of two that cancel each other."""
        floats = _floats(sound)
        if floats.shape[1] == 1:
            return floats[:, 0]
        mono: Samples = floats.mean(axis=1, dtype=np.float32)
        if floats.shape[1] == 2:
            power, mono_power = (float((one**2).sum()) / max(1, len(one)) for one in (floats[:, 0], mono))
            if power > AUDIBLE_POWER:  # in silence it stays as it was
                self._cancelling = mono_power < power * (
                    AGAIN_POWER_RATIO if self._cancelling else CANCELLED_POWER_RATIO
                )
            if self._cancelling:
                return np.ascontiguousarray(floats[:, 0])
        return mono

    def flush(self) -> Iterator[Samples]:
        """Yield what the filter still holds; the next push begins afresh."""
        if self._swr is not None:
            yield from self._resample(None)
            self._swr = None

    def _resample(self, frame: av.AudioFrame | None) -> Iterator[Samples]:
        assert self._swr is not None
        for ready in self._swr.resample(frame):
            if ready.samples:
                yield from _pieces(np.clip(ready.to_ndarray()[0], -1.0, 1.0))


def _floats(sound: NDArray[np.generic]) -> NDArray[np.float32]:
    """``sound`` as float32 in -1..1; what is not a number is silence."""
    if sound.dtype.kind == "f":
        floats = np.clip(sound, -1.0, 1.0).astype(np.float32)
        floats[np.isnan(floats)] = 0.0
    elif sound.dtype == np.uint8:
        floats = (sound.astype(np.float32) - np.float32(128)) / np.float32(128)
    else:
        full_scale = 2 ** (8 * sound.dtype.itemsize - 1)
        floats = sound.astype(np.float32) / np.float32(full_scale)
    return np.asarray(floats, np.float32)


def _pieces(samples: Samples, longest: int = SAMPLE_RATE) -> Iterator[Samples]:
    """Cut ``samples`` into contiguous pieces of at most ``longest``."""
    for start in range(0, len(samples), longest):
        yield np.ascontiguousarray(samples[start : start + longest])

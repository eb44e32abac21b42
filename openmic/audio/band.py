"""What openmic hears of a stretch of sound: one channel, and nothing above the 8 kHz that a rate of 16 kHz can hold."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

TAPS_AT_48_KHZ = 127
CUT_OFF_HZ = 8_900  # in the middle of the filter's slope: up to 8.1 kHz nothing changes
STOP_HZ = 9_700  # from here on nothing is left
KAISER_BETA = 6.0  # 63 dB
FADE = 32  # samples from the sound as it was to the filtered one


def audible(sound: NDArray[np.number], rate: int) -> NDArray[np.float64]:
    """The mean of all channels; of a high rate without what lies above 8 kHz, so that it packs well.

    A low-pass filter (windowed sinc, Kaiser's window) whose output stands where its input stood. Where it would need
    samples before or behind ``sound``, at both ends, the sound stays as it was, and fades into the filtered one: so
    stretches can be filtered one by one, and stand together without a click.

    Args:
        sound: shape (n, channels), of any unit.
        rate: in Hz.

    Returns:
        Shape (n,), at the same rate, in the same unit.
    """
    mono: NDArray[np.float64] = sound.mean(axis=1, dtype=np.float64)
    if rate <= 2 * STOP_HZ:
        return mono
    taps = _low_pass(rate)
    half = len(taps) // 2
    if len(mono) < len(taps) + 2 * FADE:
        return mono
    filtered = np.convolve(mono, taps, "valid")
    share = np.ones(len(filtered))
    share[:FADE] = np.linspace(0.0, 1.0, FADE)
    share[-FADE:] = share[FADE - 1 :: -1]
    inside = slice(half, len(mono) - half)
    mono[inside] += share * (filtered - mono[inside])
    return mono


@cache
def _low_pass(rate: int) -> NDArray[np.float64]:
    half = round(TAPS_AT_48_KHZ // 2 * rate / 48_000)
    steps = np.arange(-half, half + 1)
    taps: NDArray[np.float64] = np.sinc(2.0 * CUT_OFF_HZ / rate * steps) * np.kaiser(len(steps), KAISER_BETA)
    taps /= taps.sum()
    return taps

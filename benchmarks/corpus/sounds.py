"""Sounds in which nobody speaks: digital silence, a room's noise, a tone, and music, all made here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from openmic.audio.types import SAMPLE_RATE, Samples

ROOM_DECIBELS = -40.0  # of full scale
CHORDS = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))  # semitones above the keynote: I vi IV V
KEYNOTE_HERTZ = 220.0
BEAT_SECONDS = 0.5
HARMONICS = 5


def silence(seconds: float) -> Samples:
    """Digital silence."""
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def room(seconds: float, decibels: float = ROOM_DECIBELS, exponent: float = 1.0) -> Samples:
    """Noise whose power falls with the frequency to ``exponent``: 1 is pink, 2 brown; its RMS is ``decibels``."""
    count = round(seconds * SAMPLE_RATE)
    spectrum = np.fft.rfft(np.random.default_rng(0).normal(size=count))
    falling = np.maximum(np.fft.rfftfreq(count, 1 / SAMPLE_RATE), 20.0) ** (-exponent / 2)
    noise = np.fft.irfft(spectrum * falling, count)
    return np.asarray(noise / np.sqrt((noise**2).mean()) * 10 ** (decibels / 20), np.float32)


def tone(seconds: float, hertz: float = 440.0) -> Samples:
    """A steady tone."""
    return (0.2 * np.sin(2 * np.pi * hertz * _clock(seconds))).astype(np.float32)


def music(seconds: float) -> Samples:
    """Four chords round and round: struck notes with harmonics that die away, a bass, a drum on the beat, a cymbal."""
    bar_seconds = 4 * BEAT_SECONDS
    bars = [_bar(CHORDS[number % len(CHORDS)], number) for number in range(int(seconds / bar_seconds) + 1)]
    return np.concatenate(bars)[: round(seconds * SAMPLE_RATE)]


SOUNDS: dict[str, Callable[[float], Samples]] = {
    "digital silence": silence,
    "room noise": room,
    "a tone": tone,
    "music": music,
}


def _bar(chord: tuple[int, ...], number: int) -> Samples:
    clock = _clock(4 * BEAT_SECONDS)
    rng = np.random.default_rng(number)
    sound = np.zeros(len(clock))
    for beat in range(4):
        since = clock - beat * BEAT_SECONDS
        struck = since >= 0
        fading = np.where(struck, np.exp(-3.0 * since.clip(0)) * (1 - np.exp(-200.0 * since.clip(0))), 0.0)
        for step in (chord[0] - 12, *chord, chord[beat % 3] + 12):
            hertz = KEYNOTE_HERTZ * 2 ** (step / 12)
            for harmonic in range(1, HARMONICS + 1):
                sound += 0.03 / harmonic * fading * np.sin(2 * np.pi * hertz * harmonic * since)
        drum = np.where(struck, np.exp(-25.0 * since.clip(0)), 0.0)
        sound += 0.25 * drum * np.sin(2 * np.pi * 55.0 * since)
        cymbal = np.where(since >= BEAT_SECONDS / 2, np.exp(-40.0 * (since - BEAT_SECONDS / 2).clip(0)), 0.0)
        sound += 0.05 * cymbal * rng.normal(size=len(clock))
    return sound.astype(np.float32)


def _clock(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE

"""Sounds in which nobody speaks, all made here: silence, noise, a tone, music, and what is nearly speech.

Humming, breath and coughs are made as a voice makes them, a source through the resonances of a mouth; the television is
our own recording behind a wall, of which a murmur is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.corpus.recordings import Clip, german_clip, sample_clips
from openmic.audio.types import SAMPLE_RATE, Samples

ROOM_DECIBELS = -40.0  # of full scale
CHORDS = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))  # semitones above the keynote: I vi IV V
KEYNOTE_HERTZ = 220.0
BEAT_SECONDS = 0.5
HARMONICS = 5

HUMMED = (0, 2, 4, 5, 7, 5, 4, 2)  # semitones above HUM_HERTZ, a note each
HUM_HERTZ = 130.0
NOTE_SECONDS = 0.6
BREATH_SECONDS = 3.5  # in, out, and a rest
BETWEEN_COUGHS_SECONDS = 2.5
REVERBERATION_SECONDS = 1.0  # until an echo of the room has fallen by 60 dB
WALL_HERTZ = 500.0  # above, a wall lets ever less through
TELEVISION_DECIBELS = -30.0
MURMURING = 5  # voices
MURMUR_DECIBELS = -35.0  # RMS, of full scale
Signal = NDArray[np.float64]


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


def humming(seconds: float) -> Samples:
    """A tune with a closed mouth: a voice's pulses through the resonances of a nose, a breath after each phrase."""
    clock = _clock(NOTE_SECONDS)
    notes = []
    for number in range(int(seconds / NOTE_SECONDS) + 1):
        vibrato = 1 + 0.01 * np.sin(2 * np.pi * 5.0 * clock)
        phase = 2 * np.pi * np.cumsum(HUM_HERTZ * 2 ** (HUMMED[number % len(HUMMED)] / 12) * vibrato) / SAMPLE_RATE
        voice = np.sum([np.sin(harmonic * phase) / harmonic for harmonic in range(1, 25)], axis=0)
        swell = np.minimum(1.0, np.minimum(clock, NOTE_SECONDS - clock) / 0.08)
        notes.append(voice * swell * (number % len(HUMMED) != len(HUMMED) - 1))
    return _level(_resonant(np.concatenate(notes), ((250.0, 60.0), (1000.0, 200.0), (2200.0, 300.0))), seconds, 0.2)


def breath(seconds: float) -> Samples:
    """Somebody breathes into the microphone: in, out, a rest."""
    clock = _clock(BREATH_SECONDS)
    flow = np.maximum(0.0, np.sin(np.pi * clock / 1.2)) * (clock < 1.2)
    flow += 0.7 * np.maximum(0.0, np.sin(np.pi * (clock - 1.4) / 1.5)) * ((clock > 1.4) & (clock < 2.9))
    noise = np.random.default_rng(1).normal(size=round(seconds * SAMPLE_RATE))
    return _level(_resonant(noise, ((500.0, 400.0), (1600.0, 600.0))) * _over_and_over(flow, len(noise)), seconds, 0.1)


def coughs(seconds: float) -> Samples:
    """A cough and a second one at once, then a while nothing: a burst of air, and a voice that dies away behind it."""
    clock = _clock(BETWEEN_COUGHS_SECONDS)
    rng = np.random.default_rng(2)
    sound = np.zeros(len(clock))
    for begin, loud in ((0.3, 1.0), (0.75, 0.7)):
        since = (clock - begin).clip(0)
        burst = np.exp(-18.0 * since) * (1 - np.exp(-400.0 * since))
        voiced = np.exp(-12.0 * since) * (1 - np.exp(-40.0 * since)) * np.sign(np.sin(2 * np.pi * 150.0 * since))
        sound += loud * (burst * rng.normal(size=len(clock)) + 0.4 * voiced)
    cough = _resonant(sound, ((700.0, 200.0), (1300.0, 300.0), (2600.0, 400.0)))
    return _level(_over_and_over(cough, round(seconds * SAMPLE_RATE)), seconds, 0.4)


def television(seconds: float) -> Samples:
    """Our interview on a television in another room: through a wall and its own room's echoes, 30 dB down."""
    clock = _clock(REVERBERATION_SECONDS)
    echoes = np.random.default_rng(3).normal(size=len(clock)) * 10 ** (-3 * clock / REVERBERATION_SECONDS)
    spoken = _over_and_over(_interview().samples.astype(np.float64), round(seconds * SAMPLE_RATE))
    count = len(spoken) + len(echoes)
    hertz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    spectrum = np.fft.rfft(spoken, count) * np.fft.rfft(echoes, count) / (1 + (hertz / WALL_HERTZ) ** 4)
    return _level(np.fft.irfft(spectrum, count), seconds, 10 ** (TELEVISION_DECIBELS / 20))


def murmur(seconds: float) -> Samples:
    """Five of our voices at once and backwards: a room full of people, of whom no word can be understood."""
    voices = [sample_clips()[0], _interview(), german_clip()]
    parts = [clip.samples[shift * SAMPLE_RATE :] for clip in voices for shift in (0, 5)][:MURMURING]
    count = round(seconds * SAMPLE_RATE)
    mixed = np.sum([_over_and_over(part[::-1] / np.sqrt((part**2).mean()), count) for part in parts], axis=0)
    return np.asarray(mixed / np.sqrt((mixed**2).mean()) * 10 ** (MURMUR_DECIBELS / 20), np.float32)


SOUNDS: dict[str, Callable[[float], Samples]] = {
    "digital silence": silence,
    "room noise": room,
    "a tone": tone,
    "music": music,
    "humming": humming,
    "breath": breath,
    "coughs": coughs,
    "a far television": television,
}

SAID: dict[str, Callable[[], str]] = {"a far television": lambda: _interview().text}
"""What is said on a sound, by its name."""


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


def _interview() -> Clip:
    return next(clip for clip in sample_clips() if clip.name == "interview")


def _resonant(source: Signal, resonances: Sequence[tuple[float, float]]) -> Signal:
    """A source through resonances, each at so many hertz and so many wide."""
    hertz = np.fft.rfftfreq(len(source), 1 / SAMPLE_RATE)
    gain = np.sum([1 / (1 + ((hertz - middle) / width) ** 2) for middle, width in resonances], axis=0)
    return np.fft.irfft(np.fft.rfft(source) * gain, len(source))


def _over_and_over(sound: Signal, count: int) -> Signal:
    return np.resize(sound, count)


def _level(sound: Signal, seconds: float, peak: float) -> Samples:
    """The first ``seconds`` of a sound, its loudest sample at ``peak`` of full scale."""
    cut = sound[: round(seconds * SAMPLE_RATE)]
    return np.asarray(cut / np.abs(cut).max() * peak, np.float32)


def _clock(seconds: float) -> Signal:
    return np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE

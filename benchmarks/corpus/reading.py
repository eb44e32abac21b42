"""One long reading out of the recordings, and when each of its words ends."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.corpus.alignment import word_ends
from benchmarks.corpus.recordings import (
    SHARED_AUDIO_VARIABLE,
    Clip,
    german_clip,
    reading_clips,
    sample_clips,
    shared_folder,
)
from benchmarks.corpus.words import SpokenWord
from openmic.audio.types import SAMPLE_RATE, Samples

GAP_SECONDS = 0.25  # of silence between two clips


@dataclass(frozen=True, slots=True)
class Reading:
    """Speech with its reference.

    Attributes:
        name: what it is, for people.
        samples: 16 kHz mono float32, shape (n,).
        text: what is spoken.
        words: its words and when they end.
        language: ISO 639-1; "" where it has several.
    """

    name: str
    samples: Samples
    text: str
    words: tuple[SpokenWord, ...]
    language: str = "en"

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE

    def pcm(self) -> bytes:
        """Its samples as 16-bit little-endian PCM."""
        return (self.samples * 32767.0).round().clip(-32768, 32767).astype("<i2").tobytes()


def available_clips() -> tuple[str, list[Clip]]:
    """The clips to read, and in words which they are: the shared recordings, or the project's own without them."""
    folder = shared_folder()
    if folder is not None:
        return "LJ Speech and LibriVox", reading_clips(folder)
    return f"sample_audio (no folder of shared recordings; {SHARED_AUDIO_VARIABLE} names one)", sample_clips()


def joined_samples(clips: Sequence[Clip]) -> Samples:
    """The clips one after another, ``GAP_SECONDS`` of silence between two."""
    gap = np.zeros(round(GAP_SECONDS * SAMPLE_RATE), np.float32)
    pieces = [piece for clip in clips for piece in (clip.samples, gap)]
    return np.concatenate(pieces[:-1])


def join(name: str, clips: Sequence[Clip]) -> Reading:
    """Make a reading of clips."""
    placed: list[SpokenWord] = []
    begin = 0.0
    for clip in clips:
        placed += [SpokenWord(word.text, begin + word.end) for word in word_ends(clip)]
        begin += clip.seconds + GAP_SECONDS
    languages = {clip.language for clip in clips}
    language = languages.pop() if len(languages) == 1 else ""
    return Reading(name, joined_samples(clips), " ".join(clip.text for clip in clips), tuple(placed), language)


def load_reading(seconds: float | None = None) -> Reading:
    """The reading: all clips, or only as many whole ones as ``seconds`` need."""
    name, clips = available_clips()
    return join(name, clips if seconds is None else clips_of(clips, seconds))


def clips_of(clips: Sequence[Clip], seconds: float) -> list[Clip]:
    """As many of the clips, from the first on, as ``seconds`` need; at least one."""
    taken: list[Clip] = []
    for clip in clips:
        if taken and len(joined_samples(taken)) / SAMPLE_RATE >= seconds:
            break
        taken.append(clip)
    return taken


def german_reading() -> Reading:
    """Our own recording in another language."""
    return join("German", [german_clip()])


def begun_later(reading: Reading, seconds: float) -> Reading:
    """The same with noise at -80 dB in front: live steps meet its words at other moments."""
    noise = np.random.default_rng(0).normal(0, 1e-4, round(seconds * SAMPLE_RATE)).astype(np.float32)
    placed = tuple(SpokenWord(word.text, word.end + len(noise) / SAMPLE_RATE) for word in reading.words)
    return replace(reading, samples=np.concatenate([noise, reading.samples]), words=placed)


def mixed_reading(seconds: float) -> Reading:
    """A stream whose language changes twice: the English reading for so many seconds, German, English for as many."""
    _, clips = available_clips()
    before = clips_of(clips, seconds)
    after = clips_of(clips[len(before) :], seconds)
    return join("English, German, English", [*before, german_clip(), *after])


def long_reading(minutes: float) -> Reading:
    """The clips over and over, as many whole ones as fit into so many minutes; without the words' times."""
    name, clips = available_clips()
    taken: list[Clip] = []
    left = 60 * minutes
    for clip in itertools.cycle(clips):
        left -= clip.seconds + GAP_SECONDS
        if left < 0 and taken:
            break
        taken.append(clip)
    return Reading(name, joined_samples(taken), " ".join(clip.text for clip in taken), ())

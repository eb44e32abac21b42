"""Make the recordings in this folder, and the text beside each of them.

    python sample_audio/make.py

Made with hibari-tts 0.2.1 (its voice "heart" is inside the wheel), av 18.1.0 and numpy 2.4.6, on CPython 3.11.
The seeds are fixed, so the same versions give the same recordings. The texts are written for this project.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from hibari import Hibari
from numpy.typing import NDArray

FOLDER = Path(__file__).parent
SAMPLE_RATE = 16_000  # Hz, of the recordings
VOICE_RATE = 24_000  # Hz, of the voice
LOUDNESS = 0.9  # peak of every recording
ROOM_NOISE = 0.0002  # standard deviation of the noise floor, as a quiet room has; digital silence sounds cut


@dataclass(frozen=True)
class Line:
    """What one speaker says in one go.

    Attributes:
        text: the words, as the reference has them.
        pause: seconds of quiet after it.
        depth: how much lower than her own the voice sounds, 1.0 being her own.
        speed: pace; 1.0 is the voice's own.
    """

    text: str
    pause: float = 0.35
    depth: float = 1.0
    speed: float = 1.0


def host(text: str, pause: float) -> Line:
    """A line of the one who asks."""
    return Line(text, pause)


def guest(text: str, pause: float) -> Line:
    """A line of the one who answers, in a lower voice."""
    return Line(text, pause, depth=1.13, speed=1.05)


RECORDINGS: dict[str, list[Line]] = {
    "quickstart": [
        Line("Good morning, and thank you for calling the garden library."),
        Line("Our reading room is open from Tuesday to Saturday and closes at half past six.", 0.9),
        Line("To keep a book for another week, just say its title after the tone.", 0.3),
    ],
    "interview": [
        host("Today I am talking with Maria Lopez, who runs a small bakery near the harbor in Boston.", 0.7),
        host("Maria, how does your day begin?", 1.4),
        guest("I get up at 4 o'clock, and by 5 the first bread is in the oven.", 0.5),
        guest("We bake about 250 loaves a day, and on Fridays close to 400.", 1.6),
        host("That is a lot of bread. Who helps you?", 0.9),
        guest("My brother Daniel makes the dough, and our neighbor Emma Wilson sells it in the shop.", 0.4),
        guest("She has been with us since 2019.", 2.2),
        host("What was the hardest moment?", 1.2),
        guest("Two winters ago the oven broke on the 23rd of December.", 0.6),
        guest("The repair cost 3,000 dollars, and a new part had to come all the way from Chicago.", 0.8),
        guest("For two days we baked in the kitchen of the school across the street.", 1.8),
        host("And what would you tell somebody who wants to open a bakery?", 1.1),
        guest("Start small, write everything down, and never give up your Sunday.", 0.7),
        host("Thank you very much, Maria.", 0.6),
    ],
}


def speak(voice: Hibari, line: Line, seed: int) -> NDArray[np.float32]:
    """Samples of one line at SAMPLE_RATE, shape (n,), without its pause."""
    audio = voice(line.text, speed=line.speed * line.depth, seed=seed).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(audio[np.newaxis], format="flt", layout="mono")
    frame.sample_rate = round(VOICE_RATE / line.depth)  # played slower, a voice sounds lower
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    parts = [piece.to_ndarray()[0] for given in (frame, None) for piece in resampler.resample(given)]
    return np.concatenate(parts)


def record(voice: Hibari, lines: list[Line]) -> NDArray[np.int16]:
    """All lines one after another, as 16-bit samples at SAMPLE_RATE, shape (n,)."""
    parts = [np.zeros(SAMPLE_RATE // 2, np.float32)]
    for seed, line in enumerate(lines):
        parts += [speak(voice, line, seed), np.zeros(round(line.pause * SAMPLE_RATE), np.float32)]
    audio = np.concatenate(parts)
    audio *= LOUDNESS / np.abs(audio).max()
    audio += np.random.default_rng(0).normal(0, ROOM_NOISE, len(audio)).astype(np.float32)
    return np.clip(np.rint(audio * 32767), -32768, 32767).astype(np.int16)


def main() -> None:
    """Write NAME.wav and NAME.txt for every recording."""
    voice = Hibari()
    for name, lines in RECORDINGS.items():
        samples = record(voice, lines)
        with wave.open(str(FOLDER / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(SAMPLE_RATE)
            file.writeframes(samples.astype("<i2").tobytes())
        (FOLDER / f"{name}.txt").write_text(" ".join(line.text for line in lines) + "\n", encoding="utf-8")
        print(f"{name}.wav: {len(samples) / SAMPLE_RATE:.1f} s")


if __name__ == "__main__":
    main()

"""Make tail.wav: short speech that ends well within two seconds, then nothing.

    python openmic/speech/data/make_tail.py

Made with hibari-tts 0.2.1. ``openmic/speech/encoder.py`` says what it is for; ``docs/engine.md`` how it was chosen.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from hibari import Hibari
from scipy.signal import resample_poly

SAMPLE_RATE = 16_000  # Hz
VOICE_RATE = 24_000  # Hz

if __name__ == "__main__":
    audio = resample_poly(Hibari()("That is all for today.", seed=1).astype(np.float32), SAMPLE_RATE, VOICE_RATE)
    audio = np.concatenate([np.zeros(SAMPLE_RATE // 10), 0.6 * audio / np.abs(audio).max()])
    with wave.open(str(Path(__file__).with_name("tail.wav")), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.rint(audio * 32767).astype("<i2").tobytes())
    print(f"{len(audio) / SAMPLE_RATE:.2f} s")

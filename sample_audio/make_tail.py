"""Make openmic/speech/data/tail.wav: short speech that ends within two seconds, then nothing.

    python sample_audio/make_tail.py

``openmic/speech/model/window_encoder.py`` says what it is for.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
from hibari import Hibari
from make import SAMPLE_RATE, Line, speak

TAIL = Path(__file__).parents[1] / "openmic" / "speech" / "data" / "tail.wav"

if __name__ == "__main__":
    audio = np.pad(speak(Hibari(), Line("That is all for today."), seed=1), (SAMPLE_RATE // 10, 0))
    audio *= 0.6 / np.abs(audio).max()
    with wave.open(str(TAIL), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.rint(audio * 32767).astype("<i2").tobytes())
    print(f"{TAIL.name}: {len(audio) / SAMPLE_RATE:.2f} s")

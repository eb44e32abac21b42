"""Make german.ogg, a minute of German, and german.txt, its exact text.

    python sample_audio/make_german.py

Made with py-nanotts 0.1.1 (the voices of SVOX Pico are inside the wheel), av 18.1.0 and numpy 2.4.6, on CPython 3.11.
Benchmarks and tests take it for what Whisper does in another language than English, and in a stream whose language
changes. The text is written for this project.
"""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from py_nanotts import NanoTTS

FOLDER = Path(__file__).parent
SAMPLE_RATE = 16_000  # Hz, the voice's own
OPUS_RATE = 48_000  # Hz, the only one that the Opus encoder takes here
BITS_PER_SECOND = 32_000
LOUDNESS = 0.9  # peak
VOLUME = 0.5  # the voice clips at its own default
SPEED = 0.95

LINES: list[tuple[str, float]] = [  # a sentence, and the seconds of quiet after it
    ("Guten Morgen und herzlich willkommen im Stadtarchiv.", 0.7),
    ("Seit gestern liegt hier ein Kasten mit alten Briefen auf dem Tisch.", 0.4),
    ("Niemand weiß, wer sie geschrieben hat.", 1.0),
    ("Die Schrift ist klein, aber gut zu lesen, und auf jedem Blatt steht ein Datum.", 0.5),
    ("In einem Brief erzählt eine junge Frau von ihrer Reise nach Hamburg.", 0.4),
    ("Der Zug hatte drei Stunden Verspätung, weil Schnee auf den Schienen lag.", 0.4),
    ("Am Abend fand sie ein warmes Zimmer und schrieb alles auf, was sie gesehen hatte.", 1.2),
    ("Ein anderer Brief kommt von ihrem Bruder, der auf dem Land geblieben ist.", 0.4),
    ("Er schreibt vom Wetter, von den Pferden und von der Ernte, die in diesem Jahr sehr gut war.", 0.6),
    ("Im Herbst will er sie besuchen und ihr einen Korb mit Äpfeln mitbringen.", 1.0),
    ("Ob er wirklich gefahren ist, wissen wir noch nicht.", 0.4),
    ("Wir lesen weiter und sagen Ihnen Bescheid, sobald wir mehr gefunden haben.", 0.6),
]


def record(voice: NanoTTS) -> NDArray[np.float32]:
    """All sentences one after another at SAMPLE_RATE, shape (1, n)."""
    parts = [np.zeros(SAMPLE_RATE // 2, np.float32)]
    for text, pause in LINES:
        pcm = voice.speak(text, voice="de-DE", speed=SPEED, volume=VOLUME)
        parts += [np.frombuffer(pcm, "<i2").astype(np.float32), np.zeros(round(pause * SAMPLE_RATE), np.float32)]
    audio = np.concatenate(parts)
    return (audio * (LOUDNESS / np.abs(audio).max()))[np.newaxis]


def write(path: Path, audio: NDArray[np.float32]) -> None:
    """Encode as Ogg/Opus; ``bitexact``, so that the same samples give the same file."""
    frame = av.AudioFrame.from_ndarray(audio, format="flt", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    resampler = av.AudioResampler(format="flt", layout="mono", rate=OPUS_RATE)
    with av.open(str(path), "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libopus", rate=OPUS_RATE, layout="mono", options={"application": "voip"})
        stream.bit_rate = BITS_PER_SECOND
        for given in (frame, None):
            for piece in resampler.resample(given):
                container.mux(stream.encode(piece))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    audio = record(NanoTTS())
    write(FOLDER / "german.ogg", audio)
    (FOLDER / "german.txt").write_text(" ".join(text for text, _ in LINES) + "\n", encoding="utf-8")
    print(f"german.ogg: {audio.shape[1] / SAMPLE_RATE:.1f} s")

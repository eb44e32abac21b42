"""When somebody speaks: Silero's probabilities made into starts and ends."""

from __future__ import annotations

from typing import Literal

import numpy as np

from openmic.audio.silero import HOP, Silero
from openmic.audio.types import SAMPLE_RATE, Samples, SpeechBoundary

START_PROBABILITY = 0.5  # speech begins at this
END_PROBABILITY = 0.35  # and goes on until it stays under this; between the two nothing changes
SHORTEST_SPEECH = 3 * HOP  # samples, about 0.1 s; anything shorter is a cough, a click, a door
COLD = round(0.4 * SAMPLE_RATE)  # samples in which the model, at a stream's beginning, hears speech late
PAD = round(0.15 * SAMPLE_RATE)  # samples added before and after, for soft first and last sounds
LOUD_ENOUGH = 0.03  # peak, of full scale (-30 dB): below it the model overlooks speech, so it is amplified,
MOST_GAIN = 32.0  # but by no more than 30 dB, which leaves the noise of 16-bit samples unheard


class VoiceActivity:
    """The starts and ends of speech in one stream.

    Args:
        endpoint_silence_seconds: how long it must be quiet before speech counts as ended.

    Attributes:
        endpoint_silence_seconds: as the argument; may be changed at any time, from any thread.
    """

    def __init__(self, endpoint_silence_seconds: float) -> None:
        self.endpoint_silence_seconds = endpoint_silence_seconds
        self._model = Silero()
        self._loudest = 0.0  # peak so far that has lasted for SHORTEST_SPEECH
        self._peaks = np.zeros(SHORTEST_SPEECH // HOP - 1, np.float32)  # of the latest hops
        self._rest = np.zeros(0, np.float32)  # less than HOP samples that the model has not seen
        self._seen = 0  # samples that the model has seen
        self._speaking = False
        self._begun: int | None = None  # where the speech under way, or what may become one, begins; in samples
        self._voiced = 0  # samples of it that were voiced
        self._voice_end = 0  # where the last voiced hop ended
        self._boundary = 0  # where the last boundary was; the next one is not before it

    @property
    def speaking(self) -> bool:
        """Whether a start was given out and its end was not."""
        return self._speaking

    def push(self, samples: Samples) -> list[SpeechBoundary]:
        """Hear ``samples``, shape (n,), any n, and return the boundaries found in them, in order."""
        waiting = np.concatenate([self._rest, samples])
        hops = len(waiting) // HOP
        boundaries: list[SpeechBoundary] = []
        if hops:
            heard = waiting[: hops * HOP].reshape(hops, HOP)
            for probability in self._model.speech_probabilities(heard * self._gains(heard)[:, None]):
                boundaries += self._hear(probability)
        self._rest = waiting[hops * HOP :].copy()
        return boundaries

    def flush(self) -> list[SpeechBoundary]:
        """End the speech under way, if there is one, where it stopped; more may be pushed afterwards."""
        self._begun = None
        return [self._end(cut=True)] if self._speaking else []

    def _gains(self, hops: Samples) -> Samples:
        """By how much each of the next hops, shape (n, HOP), is amplified for the model; shape (n,).

        As much as makes the loudest moment so far loud enough; a click does not count as one.
        """
        peaks = np.abs(hops).max(axis=1)
        known = np.concatenate([self._peaks, peaks])
        before = len(self._peaks)
        lasting = np.min([known[place : place + len(peaks)] for place in range(before + 1)], axis=0)
        loudest = np.maximum(np.maximum.accumulate(lasting), np.float32(self._loudest))
        self._peaks, self._loudest = known[len(known) - before :], float(loudest[-1])
        level = np.maximum(np.maximum(loudest, peaks), np.float32(LOUD_ENOUGH / MOST_GAIN))
        gains: Samples = np.maximum(np.float32(1.0), np.float32(LOUD_ENOUGH) / level)
        return gains

    def _hear(self, probability: float) -> list[SpeechBoundary]:
        """Take the model's answer for the next HOP samples."""
        hop_start = self._seen
        self._seen += HOP
        voiced = probability >= (START_PROBABILITY if self._begun is None else END_PROBABILITY)
        if voiced:
            if self._begun is None:
                self._begun, self._voiced = hop_start, 0
            self._voiced += HOP
            self._voice_end = self._seen
            if not self._speaking and self._voiced >= SHORTEST_SPEECH:
                self._speaking = True
                return [self._at("started", self._begun - PAD if self._begun > COLD else 0)]
        elif self._begun is not None and not self._speaking:
            self._begun = None  # a blip
        elif self._speaking and self._seen - self._voice_end >= self.endpoint_silence_seconds * SAMPLE_RATE:
            self._begun = None
            return [self._end()]
        return []

    def _end(self, *, cut: bool = False) -> SpeechBoundary:
        self._speaking = False
        return self._at("ended", min(self._voice_end + PAD, self._seen + len(self._rest)), cut=cut)

    def _at(self, state: Literal["started", "ended"], sample: int, *, cut: bool = False) -> SpeechBoundary:
        self._boundary = max(sample, self._boundary)
        return SpeechBoundary(state, self._boundary / SAMPLE_RATE, cut)

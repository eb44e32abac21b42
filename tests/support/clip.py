"""A recording that a test holds in memory, growing as the test says."""

from __future__ import annotations

import numpy as np

from openmic.audio.types import Samples


class Clip:
    """Implements ``openmic.speech.types.Recording`` over an array; ``length`` is how much has been heard."""

    def __init__(self, samples: Samples, length: int | None = None) -> None:
        self.samples = np.ascontiguousarray(samples, dtype=np.float32)
        self.length = len(samples) if length is None else length

    def __len__(self) -> int:
        return self.length

    def read(self, start: int, stop: int) -> Samples:
        return self.samples[max(start, 0) : max(min(stop, self.length), 0)]

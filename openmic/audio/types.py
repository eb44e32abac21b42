"""What passes between the audio room and its neighbours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000  # Hz, mono, everywhere behind the decoder

Samples = NDArray[np.float32]
"""Mono audio at SAMPLE_RATE, shape (n,), float32 in -1..1."""


class ByteSource(Protocol):
    """A client's bytes so far, as a file that may still be growing."""

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes from the current offset; waits for at least one; ``b""`` only at the end."""

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to ``offset`` (``whence`` 0 or 1), also beyond what has arrived; returns the new offset."""

    def tell(self) -> int:
        """The current offset, in bytes."""


@dataclass(frozen=True, slots=True)
class SpeechBoundary:
    """A moment at which speech began or ended.

    Attributes:
        state: which of the two.
        at: seconds on the stream's clock.
        cut: speech ended because the stream did, and not in a pause.
    """

    state: Literal["started", "ended"]
    at: float
    cut: bool = False

"""In which language somebody speaks, told from all that was said instead of from each short window alone.

Whisper's probabilities of languages are made for 30 s. For half a second they are close to a guess: English heard in
German, Japanese in a cough. What the utterances before were in is known better, and a real change of language soon
says more than they did.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WHOLE_SECONDS = 1.0  # a window counts for all that its probabilities say from this length on, a shorter one for less
MOST_NATS = 2.0  # that what was said before may speak for one language against another


class LanguageEvidence:
    """One stream's; adds up log-probabilities of the languages over its windows.

    Attributes:
        place: of the language that leads, in the order of the model's languages; None before the first window.
    """

    def __init__(self) -> None:
        self.place: int | None = None
        self._before: NDArray[np.float32] | None = None
        self._with_window: NDArray[np.float32] | None = None

    def take(self, logprobs: NDArray[np.float32], seconds: float) -> int:
        """The language that leads, with what the window now says; an earlier hearing of the same window is forgotten.

        Args:
            logprobs: of the languages in the window, shape (languages,), in nats.
            seconds: how long the window is.
        """
        of_window = logprobs * np.float32(min(1.0, seconds / WHOLE_SECONDS))
        self._with_window = of_window if self._before is None else self._before + of_window
        self.place = int(np.argmax(self._with_window))
        return self.place

    def begin_window(self) -> None:
        """What is heard from now on is another window: what the last one said is kept."""
        if self._with_window is not None:
            self._before = np.maximum(self._with_window - np.max(self._with_window), np.float32(-MOST_NATS))
            self._with_window = None

"""People who speak in virtual time: when they come, how long they speak, when each word is said and first seen."""

from __future__ import annotations

import math
from array import array
from dataclasses import dataclass, field
from random import Random

import numpy as np
from whisper.audio import FRAMES_PER_SECOND

from openmic.sessions.state import State
from openmic.speech.engine.costs import WINDOW_EVERY_SECONDS

PIECE_SECONDS = 0.1  # of audio that a client sends at once
WORD_SECONDS = 0.37  # from one word's end to the next one's: 160 words a minute, and no multiple of a piece
HEARD_SECONDS = 0.14  # of audio behind a word's end that a window must have, for the word to be in its text
MEDIAN_SECONDS, SIGMA = 90.0, 0.8  # of the log-normal lengths
MEAN_SECONDS = MEDIAN_SECONDS * math.exp(SIGMA**2 / 2)  # 124 s
GIVEN_UP_SECONDS = (
    30.0  # live text that far behind is given up once its speaker has stopped, as the engine's streams do
)


@dataclass(slots=True)
class Seen:
    """What all speakers together got.

    Attributes:
        since: words that were said before are not counted, in virtual seconds.
        delays: from each word's end until it was first seen, in seconds.
        missing: words that no live text ever had.
        final_waits: from the end of speech to the final text, in seconds.
        silences: from when a speaker was cut until live text went on, in seconds.
    """

    since: float = 0.0
    delays: array[float] = field(default_factory=lambda: array("f"))
    missing: int = 0
    final_waits: list[float] = field(default_factory=list)
    silences: list[float] = field(default_factory=list)

    def p90(self) -> float | None:
        """Ninth decile of the delays; None where nobody spoke."""
        return float(np.percentile(self.delays, 90)) if self.delays else None


@dataclass(slots=True, eq=False)
class Speaker:
    """One session, whichever replica it is at; admission looks at it as at a ``Session``.

    Attributes:
        name: nobody else's.
        begins: when the first sample is spoken, in virtual seconds.
        pieces: of audio in all.
        seen: where its words are counted.
        heard_pieces: that live text knows.
        walked_mel_frames: that its final pass knows.
        cut_at: when its connection broke; None: live text has gone on since.
        stopped: whether all of its audio has come and is in the live text.
        final_at: when its final text came.
        words: that were seen, or will not be.
    """

    name: str
    begins: float
    pieces: int
    seen: Seen
    heard_pieces: int = 0
    walked_mel_frames: int = 0
    cut_at: float | None = None
    stopped: bool = False
    final_at: float | None = None
    words: int = 0
    detached_at: float | None = None  # a session's; one whose client is away is at no replica here
    _spoken_at: float = -math.inf
    _spoken_pieces: int = 0

    @property
    def ends(self) -> float:
        """When it has said everything."""
        return self.begins + self.pieces * PIECE_SECONDS

    @property
    def state(self) -> State:
        """As a session's."""
        if self.final_at is not None:
            return State.ENDED
        return State.FINISHING if self.stopped else State.RECEIVING

    @property
    def recording(self) -> Speaker:
        """It is its own: only the seconds are asked for."""
        return self

    @property
    def seconds(self) -> float:
        """Of its audio that were heard."""
        return self.heard_pieces * PIECE_SECONDS

    def spoken_pieces(self, now: float) -> int:
        """Of its audio that a server may have by now."""
        if now != self._spoken_at:  # asked several times at each moment
            spoken = min(self.pieces, math.floor((now - self.begins) / PIECE_SECONDS + 1e-6))
            self._spoken_at, self._spoken_pieces = now, spoken
        return self._spoken_pieces

    def show(self, pieces: int, now: float) -> None:
        """A live text that knows so much of the audio is there."""
        self.heard_pieces = pieces
        whole = pieces == self.pieces
        known = pieces * PIECE_SECONDS - (0.0 if whole else HEARD_SECONDS)
        while (end := (self.words + 1) * WORD_SECONDS) <= known:
            said = self.begins + end
            if said >= self.seen.since:
                self.seen.delays.append(now - said)
            self.words += 1
        if self.cut_at is not None:
            self.seen.silences.append(now - self.cut_at)
            self.cut_at = None

    def skip_rest(self) -> None:
        """Its live text is given up."""
        words = int(self.pieces * PIECE_SECONDS / WORD_SECONDS)
        self.seen.missing += words - self.words
        self.words, self.heard_pieces = words, self.pieces

    def end(self, now: float) -> None:
        """The final text is there."""
        self.final_at = now
        if self.ends >= self.seen.since:
            self.seen.final_waits.append(now - self.ends)


def arriving(name: str, now: float, random: Random, seen: Seen) -> Speaker:
    """Somebody who begins to speak now."""
    return Speaker(name, now, _pieces(random.lognormvariate(math.log(MEDIAN_SECONDS), SIGMA)), seen)


def met(name: str, now: float, random: Random, seen: Seen) -> Speaker:
    """Somebody who is met in the middle of a speech, and is not behind.

    Long speeches are met more often, in proportion to their length, and at any of their moments alike.
    """
    seconds = random.lognormvariate(math.log(MEDIAN_SECONDS) + SIGMA**2, SIGMA)
    spoken = random.uniform(0.0, seconds)
    speaker = Speaker(name, now - spoken, _pieces(seconds), seen)
    speaker.heard_pieces = speaker.spoken_pieces(now)
    speaker.walked_mel_frames = int(spoken // WINDOW_EVERY_SECONDS * WINDOW_EVERY_SECONDS) * FRAMES_PER_SECOND
    speaker.words = int(spoken / WORD_SECONDS)
    return speaker


def _pieces(seconds: float) -> int:
    return max(1, math.ceil(seconds / PIECE_SECONDS))

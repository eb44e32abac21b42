"""A container's clock: where packets are missing, there was silence.

Timestamps jump where nothing was recorded or sent: holes of a bad line, a track that begins after its video, Opus that
sends nothing while nobody speaks (RFC 6716, section 2.1.9). Players wait there. Words and subtitles must come as late.
"""

from __future__ import annotations

LEAST_GAP_SECONDS = 0.1  # more than the jitter of timestamps
MOST_GAP_SECONDS = 1800.0  # a longer one is a clock that was set again, as is one that goes back by
BACK_SECONDS = 1.0


class StreamClock:
    """Says how much silence belongs before each stretch of sound of a track.

    Args:
        origin: seconds on the container's clock at which its first track begins; None: where this track does.
    """

    def __init__(self, origin: float | None = None) -> None:
        self._origin = origin
        self._position = 0.0  # seconds of sound and silence so far
        self._latest: float | None = None

    def gap_seconds(self, at: float | None, seconds: float) -> float:
        """How much silence belongs before a stretch.

        Args:
            at: when it begins, seconds on the container's clock; None: right behind the one before.
            seconds: how long it is.
        """
        gap = 0.0
        if at is not None:
            if self._origin is None:
                self._origin = at - self._position
            gap = at - self._origin - self._position
            if gap > MOST_GAP_SECONDS or (self._latest is not None and at < self._latest - BACK_SECONDS):
                self._origin = at - self._position
                gap = 0.0
            self._latest = at
        gap = gap if gap >= LEAST_GAP_SECONDS else 0.0
        self._position += gap + seconds
        return gap

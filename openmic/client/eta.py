"""How long the final text still takes, guessed from how fast it has come along so far."""

from __future__ import annotations

from openmic.client.result import Message

LEAST_SECONDS = 2.0  # of watching before a guess is worth anything


class Remaining:
    """Takes a stream's ``progress`` messages in order."""

    def __init__(self) -> None:
        self._first: tuple[float, float] | None = None  # when, and how much was done

    def update(self, message: Message, now: float) -> float | None:
        """Seconds that are left; None while too little has been seen to tell.

        Args:
            message: a ``progress`` message.
            now: when it came, in seconds on any clock that only goes forward.
        """
        done = float(message["done_seconds"])
        if self._first is None:
            self._first = (now, done)
            return None
        begun, done_before = self._first
        if now - begun < LEAST_SECONDS or done <= done_before:
            return None
        rate = (done - done_before) / (now - begun)
        return max(0.0, float(message["total_seconds"]) - done) / rate

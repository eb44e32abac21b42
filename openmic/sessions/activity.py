"""Whether a session has its place for something: sound comes, or at least bytes that sound may be in.

Messages do not count: a ping every few seconds would hold a place for ever.
"""

from __future__ import annotations

import time

LEAST_SOUND_SECONDS = 1.0  # that must come within the time a session may be idle, or a quarter of that time
LEAST_BYTES = 65_536  # or these: the index of an MP4 may stand behind all of its sound


class Activity:
    """One session's; looked at by the keeper, again and again."""

    def __init__(self) -> None:
        self.began_at = self._active_at = time.monotonic()
        self._seconds = 0.0
        self._bytes = 0

    def rest(self, now: float) -> None:
        """Nothing is expected until ``now``: its client is away, or cannot reach the server. From any thread."""
        self._active_at = now

    def is_idle(self, sound_seconds: float, received_bytes: int, now: float, idle_seconds: float) -> bool:
        """Whether too little has come for ``idle_seconds``.

        Args:
            sound_seconds: in its recording.
            received_bytes: from its client.
            now: on the monotonic clock.
            idle_seconds: how long it may be idle.
        """
        least_sound = min(LEAST_SOUND_SECONDS, idle_seconds / 4)
        if sound_seconds - self._seconds >= least_sound or received_bytes - self._bytes >= LEAST_BYTES:
            self._active_at, self._seconds, self._bytes = now, sound_seconds, received_bytes
        return now - self._active_at >= idle_seconds

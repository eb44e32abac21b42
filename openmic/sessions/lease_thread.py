"""The thread that keeps this process's leases good, and hears what other processes ask it to let go of."""

from __future__ import annotations

import threading
from collections.abc import Callable

from openmic.sessions.storage.folder import Household
from openmic.sessions.storage.holder import BEATS_PER_LEASE
from openmic.threads import SupervisedThread

LOOK_SECONDS = 0.1  # between two looks at what others ask for


class LeaseThread:
    """Beats, and watches the others' beats, a few times in the time that a lease is good for.

    Args:
        household: this process and the others.
        on_wanted: called with the name of each session that another process asks for; must return at once.
    """

    def __init__(self, household: Household, on_wanted: Callable[[str], None]) -> None:
        self._household = household
        self._on_wanted = on_wanted
        self._closed = threading.Event()
        self._thread = SupervisedThread("openmic-lease", self._run)
        self._thread.start()

    @property
    def problems(self) -> tuple[str, ...]:
        """See ``SupervisedThread.problems``."""
        return self._thread.problems

    def close(self, seconds: float) -> None:
        """End, within ``seconds``; then nothing is held any more."""
        self._closed.set()
        self._thread.join(seconds)
        self._household.holder.close()

    def _run(self) -> None:
        holder, others = self._household.holder, self._household.others
        beat_seconds = holder.lease_seconds / BEATS_PER_LEASE
        beat_at = holder.clock()
        while not self._closed.wait(min(LOOK_SECONDS, beat_seconds / 2)):
            if holder.clock() >= beat_at:
                beat_at = holder.clock() + beat_seconds
                if holder.begun:
                    with self._thread.turn("saying that it lives"):
                        holder.beat()
                with self._thread.turn("watching other processes"):
                    others.watch()
            with self._thread.turn("letting go"):
                for session_id in holder.wanted():
                    self._on_wanted(session_id)

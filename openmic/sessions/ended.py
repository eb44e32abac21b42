"""A session that has ended, as its folder has it: told again, listed and downloaded until it is deleted."""

from __future__ import annotations

import time
from pathlib import Path

from openmic.errors import OpenmicError
from openmic.sessions.on_disk import SessionOnDisk
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.state import State
from openmic.sessions.storage.folder_clock import age_seconds
from openmic.sessions.storage.names import journal_path
from openmic.sessions.storage.replay import JournalReplay, to_error


class EndedSession(SessionOnDisk):
    """It is kept for as long as its owner has set, from its end."""

    def __init__(self, folder: Path, replay: JournalReplay) -> None:
        super().__init__(folder, replay)
        over = replay.over
        age = age_seconds(journal_path(folder), folder=folder.parent)
        if over is not None:  # by whichever clock it is younger: they may be apart, and nothing is deleted early
            age = min(age, time.time() - over.at)
        self.ended_at = self.detached_at = time.monotonic() - max(0.0, age)
        self.ended.set()
        self._state = State.ENDED
        self._error = to_error(over.error) if over is not None else PROBLEMS.error("journal_damaged")
        if over is not None and over.ended is not None:
            self._transcript.end(over.ended.reason, over.ended.audio_seconds)

    def refusal(self) -> OpenmicError:
        """It takes nothing any more."""
        return PROBLEMS.error("already_stopped")

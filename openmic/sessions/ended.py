"""A session that has ended, as its folder has it: told again, listed and downloaded until it is deleted."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from openmic.errors import OpenmicError
from openmic.sessions.events import Reason
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.sessions.storage.folder import JOURNAL, RECORDING
from openmic.sessions.storage.recording import DiskRecording
from openmic.sessions.storage.replay import JournalReplay, to_error
from openmic.speech.types import Term


class EndedSession(Session):
    """Nothing works in here: no thread, no stream of the engine, no open file."""

    def __init__(self, folder: Path, story: JournalReplay) -> None:
        super().__init__(story, DiskRecording.stored(folder / RECORDING))
        over = story.over
        at = over.at if over is not None else (folder / JOURNAL).stat().st_mtime
        age = max(0.0, time.time() - at)  # a clock that was set back makes nothing older
        self.ended_at = self.detached_at = time.monotonic() - age
        self.ended.set()
        self._folder = folder
        self._received_bytes = story.received_bytes
        self._state = State.ENDED
        self._reason = story.stopped.reason if story.stopped is not None else None
        self._error = to_error(over.error) if over is not None else PROBLEMS.error("journal_damaged")
        if over is not None and over.ended is not None:
            self._transcript.end(over.ended.reason, over.ended.audio_seconds)

    @property
    def received_bytes(self) -> int:
        """How many bytes its client sent."""
        return self._received_bytes

    @property
    def backlog_bytes(self) -> int:
        """None wait."""
        return 0

    def write(self, data: bytes) -> int:
        """Refuse them."""
        raise PROBLEMS.error("already_stopped")

    def flush(self) -> None:
        """Refuse it."""
        raise PROBLEMS.error("already_stopped")

    def stop(self, reason: Reason = "stopped", error: OpenmicError | None = None) -> None:
        """Refuse it."""
        raise PROBLEMS.error("already_stopped")

    def set_endpoint_silence(self, seconds: float) -> None:
        """No utterance of it is open."""

    def change_vocabulary(self, vocabulary: tuple[Term, ...] | None = None, prompt: str | None = None) -> None:
        """Nothing of it is still to be transcribed."""

    def reach_limit(self, limit: OpenmicError) -> None:
        """It takes no audio."""

    def abandon(self, error: OpenmicError) -> None:
        """It has ended."""

    def join(self, seconds: float) -> None:
        """It has no thread."""

    def sync(self) -> None:
        """It is on the disk."""

    def release(self) -> None:
        """It has no open file."""

    def delete(self) -> None:
        """Remove its folder; safe to call again."""
        self.recording.forget()
        shutil.rmtree(self._folder, ignore_errors=True)

"""A session that has ended, as its folder has it: told again, listed and downloaded until it is deleted."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

from openmic.errors import OpenmicError
from openmic.sessions.files import JOURNAL, RECORDING
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.recording import DiskRecording
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.sessions.story import Story, to_error
from openmic.sessions.transcript import Transcript


class KeptSession(Session):
    """Nothing works in here: no thread, no stream of the engine, no open file."""

    def __init__(self, folder: Path, story: Story) -> None:
        opened, over = story.opened, story.over
        self.id = opened.id
        self.resume_token = ""
        self.token_hash = opened.token_hash
        self.options = opened.options
        self.words = opened.words
        self.created = opened.created
        self.ended = threading.Event()
        self.ended.set()
        at = over.at if over is not None else (folder / JOURNAL).stat().st_mtime
        age = max(0.0, time.time() - at)  # a clock that was set back makes nothing older
        self.ended_at = time.monotonic() - age
        self.detached_at = self.ended_at
        self.recording = DiskRecording.stored(folder / RECORDING)
        self._folder = folder
        self._received_bytes = story.received_bytes
        self._lock = threading.RLock()
        self._state = State.ENDED
        self._reason = story.stopped.reason if story.stopped is not None else None
        self._error = to_error(over.error) if over is not None else PROBLEMS.error("journal_damaged")
        self._transcript = Transcript()
        self._transcript.remember(story.counted)
        if over is not None and over.ended is not None:
            self._transcript.end(over.ended.reason, over.ended.audio_seconds)
        self._subscriber = None

    @property
    def received_bytes(self) -> int:
        """How many bytes its client sent."""
        return self._received_bytes

    @property
    def backlog_bytes(self) -> int:
        """None wait."""
        return 0

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

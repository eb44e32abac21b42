"""One session's folder on disk: the bytes it received, and the sound in them."""

from __future__ import annotations

import shutil
from pathlib import Path

from openmic.errors import OpenmicError
from openmic.sessions.journal import Journal
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.recording import DiskRecording


def disk_full(error: OSError) -> OpenmicError:
    """The problem that a failed write is to a person."""
    return PROBLEMS.error("disk_full", detail=error.strerror or type(error).__name__)


class SessionFiles:
    """Creates the folder with an empty journal and an empty recording.

    Raises:
        OpenmicError: ``disk_full``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            folder.mkdir(mode=0o700, parents=True)
            self.journal = Journal(folder / "received.bytes")
            self.recording = DiskRecording(folder / "audio.wav")
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise disk_full(error) from error

    def release(self) -> None:
        """Close both and leave them on the disk; safe to call again."""
        self.journal.close()
        self.recording.close()

    def delete(self) -> None:
        """Close both and remove the folder; safe to call again."""
        self.release()
        shutil.rmtree(self._folder, ignore_errors=True)

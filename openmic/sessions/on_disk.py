"""A session as its folder has it: told again, listed and downloaded; nothing works in here."""

from __future__ import annotations

from pathlib import Path

from openmic.errors import OpenmicError
from openmic.sessions.events import Reason
from openmic.sessions.problems import SessionHeld
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.sessions.storage.names import recording_path, remove_folder
from openmic.sessions.storage.recording import DiskRecording
from openmic.sessions.storage.replay import JournalReplay
from openmic.speech.types import Term


class SessionOnDisk(Session):
    """No thread, no stream of the engine; its maker says which state the session is in.

    Args:
        folder: of the session.
        replay: what its journal holds.
    """

    def __init__(self, folder: Path, replay: JournalReplay) -> None:
        super().__init__(replay, DiskRecording.stored(recording_path(folder)))
        self._folder = folder
        self._received_bytes = replay.received_bytes
        self._reason = replay.stopped.reason if replay.stopped is not None else None

    @property
    def received_bytes(self) -> int:
        """How many bytes its client sent."""
        return self._received_bytes

    @property
    def backlog_bytes(self) -> int:
        """None wait."""
        return 0

    def refusal(self) -> OpenmicError:
        """Why nothing can be done to it here."""
        return SessionHeld("")

    def write(self, data: bytes) -> int:
        """Refuse them."""
        raise self.refusal()

    def flush(self) -> None:
        """Refuse it."""
        raise self.refusal()

    def stop(self, reason: Reason = "stopped", error: OpenmicError | None = None) -> None:
        """Refuse it."""
        raise self.refusal()

    def set_endpoint_silence(self, seconds: float) -> None:
        """No utterance of it is open here."""

    def change_vocabulary(self, vocabulary: tuple[Term, ...] | None = None, prompt: str | None = None) -> None:
        """Nothing of it is transcribed here."""

    def reach_limit(self, limit: OpenmicError) -> None:
        """It takes no audio here."""

    def abandon(self, error: OpenmicError) -> None:
        """Nothing works in here."""

    def check_lease(self) -> None:
        """It holds none."""

    def let_go(self, *, resumed_elsewhere: bool) -> bool:
        """It holds nothing."""
        return False

    def join(self, seconds: float) -> None:
        """It has no thread."""

    def sync(self) -> None:
        """It is on the disk."""

    def release(self) -> None:
        """It holds nothing."""

    def delete(self) -> None:
        """Remove its folder; safe to call again."""
        self.recording.forget()
        remove_folder(self._folder)


class SessionElsewhere(SessionOnDisk):
    """One that another process holds, or that nobody has taken up yet; it may go on while one looks at it.

    There is no live text: journals hold what was said for good.
    """

    def __init__(self, folder: Path, replay: JournalReplay) -> None:
        super().__init__(folder, replay)
        self._state = State.RECEIVING if replay.stopped is None else State.FINISHING

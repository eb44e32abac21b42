"""One session's folder on disk: the journal, and the sound in it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from openmic.errors import OpenmicError
from openmic.ownership import make_private_folder
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.storage.journal import InUse, Journal, lock
from openmic.sessions.storage.record_file import Ending, Kind
from openmic.sessions.storage.recording import DiskRecording
from openmic.sessions.storage.replay import JournalReplay, OpenedEntry, read_story, to_payload

JOURNAL = "journal"
RECORDING = "recording"
DAMAGED = "journal.damaged"  # what a journal was before its good part was made the journal
MAKING = "new-"  # before the name of a folder whose journal does not say yet what it is


def disk_full(error: OSError) -> OpenmicError:
    """The problem that a failed write is to a person."""
    return PROBLEMS.error("disk_full", detail=error.strerror or type(error).__name__)


class SessionFiles:
    """A folder that this process writes to; ``create`` or ``reopen`` makes one.

    Args:
        folder: of the session.
        journal: open and locked.
        recording: of what is decoded from it.
    """

    def __init__(self, folder: Path, journal: Journal, recording: DiskRecording) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._deleted = False
        self.journal = journal
        self.recording = recording

    @classmethod
    def create(cls, folder: Path, opened: OpenedEntry) -> SessionFiles:
        """Make the folder, with a journal that says how the session began and an empty recording.

        Raises:
            OpenmicError: ``disk_full``.
        """
        making = folder.with_name(MAKING + folder.name)
        journal: Journal | None = None
        try:
            if folder.exists():
                raise FileExistsError(errno.EEXIST, "its folder exists already")
            make_private_folder(folder.parent)
            making.mkdir(mode=0o700)
            journal = Journal.create(making / JOURNAL)
            journal.record(Kind.OPENED, to_payload(opened))
            making.rename(folder)  # whoever looks at the folder's name finds a journal that has begun, and is locked
            journal.path = folder / JOURNAL
            return cls(folder, journal, DiskRecording(folder / RECORDING))
        except OSError as error:
            if journal is not None:
                journal.close()
                shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(making, ignore_errors=True)
            raise disk_full(error) from error

    @classmethod
    def reopen(cls, folder: Path) -> tuple[SessionFiles, JournalReplay]:
        """Take up what a server that has gone left behind; the recording is empty, to be decoded again.

        What follows the journal's good part is cut off; if that is more than a torn record, the journal as it was is
        kept beside it.

        Raises:
            InUse: another process works on it.
            OpenmicError: ``journal_unreadable``, ``disk_full``.
        """
        path = folder / JOURNAL
        try:
            file = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        except OSError as error:
            raise PROBLEMS.error("journal_unreadable", detail=error.strerror or "it cannot be opened") from error
        try:
            lock(file)
            if not _stands_at(file, path):
                raise InUse  # it was made compact or deleted at this moment
            story = read_story(file)
            if story.ending is Ending.DAMAGED:
                shutil.copyfile(path, folder / DAMAGED)
                os.chmod(folder / DAMAGED, 0o600)
            journal = Journal.reopen(path, file, story.good_bytes)
            return cls(folder, journal, DiskRecording(folder / RECORDING)), story
        except OSError as error:
            os.close(file)
            raise disk_full(error) from error
        except BaseException:
            os.close(file)
            raise

    def settle(self, *, compact: bool) -> None:
        """Force all to the disk and give it out of hand; the session has ended.

        Args:
            compact: drop the client's bytes from the journal once the recording is safe.

        Raises:
            OSError: it could not be written; the journal is still whole.
        """
        with self._lock:
            if self._deleted:
                return
            try:
                self.journal.sync()
                with contextlib.suppress(FileNotFoundError):
                    self.recording.pack()
                    if compact:
                        self.journal.compact()
            finally:
                self.journal.close()

    def release(self) -> None:
        """Close both and leave them on the disk; safe to call again."""
        self.journal.close()
        self.recording.forget()

    def delete(self) -> None:
        """Close both and remove the folder; safe to call again."""
        with self._lock:
            self._deleted = True
            self.release()
            shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def holding(folder: Path) -> Iterator[None]:
    """Keep every process from working on this session meanwhile.

    Raises:
        InUse: one does.
    """
    try:
        file = os.open(folder / JOURNAL, os.O_RDONLY)
    except OSError:  # there is nothing that could be worked on
        yield
        return
    try:
        lock(file)
        yield
    finally:
        os.close(file)


def is_in_use(folder: Path) -> bool:
    """Whether a process works on this session right now."""
    try:
        with holding(folder):
            return False
    except InUse:
        return True


def _stands_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False

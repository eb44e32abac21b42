"""One session's folder on disk, in the hands of the process that holds its lease: the journal, and the sound in it."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path

from openmic.errors import OpenmicError
from openmic.ownership import make_private_folder
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.storage.holder import Holder
from openmic.sessions.storage.journal import InUse, Journal, lock
from openmic.sessions.storage.lease import HeldElsewhere, Lease, life_of, newest_lease, read_leases
from openmic.sessions.storage.names import (
    DAMAGED,
    JOURNAL,
    MAKING,
    RECORDING,
    journal_number,
    journal_path,
    numbered,
    remove_folder,
    sweep,
)
from openmic.sessions.storage.other_holders import Life, OtherHolders
from openmic.sessions.storage.record_file import Ending, Kind
from openmic.sessions.storage.recording import DiskRecording
from openmic.sessions.storage.replay import JournalReplay, OpenedEntry, read_replay, to_payload

COPY_BYTES = 1_048_576


class AlreadyOver(Exception):
    """The session has ended: there is nothing to take up."""


def disk_full(error: OSError) -> OpenmicError:
    """The problem that a failed write is to a person."""
    return PROBLEMS.error("disk_full", detail=error.strerror or type(error).__name__)


@dataclass(frozen=True, slots=True)
class Household:
    """The processes that share a folder of sessions: this one, and all others."""

    holder: Holder
    others: OtherHolders


class SessionFiles:
    """A folder that this process writes to; ``create`` or ``take_over`` makes one.

    Args:
        folder: of the session.
        lease: of the session.
        journal: open and locked.
        recording: of what is decoded from it.
        cut_bytes: of the journal that another process left, how much counts; None: this one began it.
    """

    def __init__(
        self, folder: Path, lease: Lease, journal: Journal, recording: DiskRecording, cut_bytes: int | None = None
    ) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._settled = False
        self._cut_bytes = cut_bytes
        self.lease = lease
        self.journal = journal
        self.recording = recording

    @classmethod
    def create(cls, folder: Path, opened: OpenedEntry, holder: Holder) -> SessionFiles:
        """Make the folder, with a journal that says how the session began and an empty recording.

        Raises:
            OpenmicError: ``disk_full``.
        """
        making = folder.with_name(MAKING + folder.name)
        journal: Journal | None = None
        lease: Lease | None = None
        try:
            if folder.exists():
                raise FileExistsError(errno.EEXIST, "its folder exists already")
            make_private_folder(folder.parent)
            making.mkdir(mode=0o700)
            lease = Lease.first(making, holder, folder.name)
            journal = Journal.create(making / JOURNAL, lease.confirm)
            journal.record(Kind.OPENED, to_payload(opened))
            making.rename(folder)  # a reader of the folder's name finds a journal that has begun, and is leased
            journal.path = folder / JOURNAL
            lease.move_to(folder)
            return cls(folder, lease, journal, DiskRecording(folder / RECORDING))
        except OSError as error:
            if lease is not None:
                lease.release()
            if journal is not None:
                journal.close()
                shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(making, ignore_errors=True)
            raise disk_full(error) from error

    @classmethod
    def take_over(
        cls, folder: Path, household: Household, *, finished_too: bool = False
    ) -> tuple[SessionFiles, JournalReplay]:
        """Take up what another process left behind or let go of; the recording is empty, to be decoded again.

        What follows the journal's good part is cut off; if that is more than a torn record, the journal as it was is
        kept beside it. Where the other process may still wake up and write, the good part is copied, and its file left
        to it.

        Args:
            folder: of the session.
            household: this process and the others.
            finished_too: a session that has ended is taken up as well.

        Raises:
            InUse: another process works on it.
            AlreadyOver: it has ended in the meantime.
            OpenmicError: ``journal_unreadable``, ``disk_full``.
        """
        try:
            lease = Lease.take(folder, household.holder, household.others)
        except OSError as error:
            raise disk_full(error) from error
        file = -1
        try:
            number = journal_number(folder)
            path = numbered(folder, JOURNAL, number)
            file = _open(path)
            left_for_good = writers_have_gone(folder, number, lease.fence, household.others)
            if left_for_good:
                try:
                    lock(file)
                except InUse:
                    if lease.fence == 1:  # an earlier version works on it, which knows no leases
                        raise
                    left_for_good = False
                if not _stands_at(file, path):
                    raise InUse  # it was made compact at this moment
            replay = read_replay(file)
            if replay.is_over and not finished_too:
                raise AlreadyOver
            if replay.ending is Ending.DAMAGED:
                shutil.copyfile(path, folder / DAMAGED)
                os.chmod(folder / DAMAGED, 0o600)
            if not left_for_good:
                number = lease.fence
                path = numbered(folder, JOURNAL, number)
                left, file = file, _copy(file, replay.good_bytes, path)
                os.close(left)
            journal = Journal.reopen(path, file, replay.good_bytes, lease.confirm)
            recording = DiskRecording(numbered(folder, RECORDING, lease.fence))
            sweep(folder, number, lease.fence)
            return cls(folder, lease, journal, recording, replay.good_bytes), replay
        except BaseException as error:
            if file >= 0:
                os.close(file)
            lease.release()
            if isinstance(error, OSError):
                raise disk_full(error) from error
            raise

    @property
    def takeover(self) -> bytes:
        """What the journal says of this takeover: the lease's number, and how much of what was there counts."""
        return json.dumps({"fence": self.lease.fence, "cut_bytes": self._cut_bytes}).encode()

    def settle(self, *, compact: bool) -> None:
        """Force all to the disk and let go of it; the session has ended.

        Args:
            compact: drop the client's bytes from the journal once the recording is safe.

        Raises:
            OSError: it could not be written; the journal is still whole.
        """
        with self._lock:
            if self._settled:
                return
            self._settled = True
            try:
                self.journal.sync()
                with contextlib.suppress(FileNotFoundError):
                    self.recording.pack()
                    if compact:
                        self.journal.compact()
            finally:
                self.journal.close()
                self.lease.release()

    def release(self) -> None:
        """Close both, leave them safe on the disk and let go of the session; safe to call again."""
        with self._lock:
            self._settled = True
            with contextlib.suppress(OSError):  # no descriptor is left to do it with
                self.journal.sync()
            self.journal.close()
            self.recording.forget()
            self.lease.release()

    def delete(self) -> None:
        """Close both and remove the folder; safe to call again. Only let go of it where another process has it."""
        with self._lock:
            self._settled = True
            self.journal.close()
            self.recording.forget()
            if not self.lease.lost:
                remove_folder(self._folder)
            self.lease.release()


def writers_have_gone(folder: Path, journal: int, fence: int, others: OtherHolders) -> bool:
    """Whether all processes that may have written to a journal have let go of it, or are known to be dead.

    Args:
        folder: of the session.
        journal: its number: a process with a lease of a lower one writes elsewhere.
        fence: of the lease that is being made.
        others: knows which processes have ended.
    """
    last = {lease.holder_id: lease for lease in read_leases(folder) if journal <= lease.fence < fence}
    return all(life_of(folder, lease, others) is Life.GONE for lease in last.values())


def is_held(folder: Path, others: OtherHolders) -> bool:
    """Whether a process that lives works on the session, or one of which it is not known yet."""
    newest = newest_lease(folder)
    if newest is not None:
        return life_of(folder, newest, others) is Life.ALIVE
    try:
        file = os.open(journal_path(folder), os.O_RDONLY)
    except OSError:  # there is nothing that could be worked on
        return False
    try:
        lock(file)  # an earlier version has no leases
        return False
    except InUse:
        return True
    finally:
        os.close(file)


def check_free(folder: Path, others: OtherHolders) -> None:
    """Let pass where no process works on the session.

    Raises:
        HeldElsewhere: one does.
    """
    if is_held(folder, others):
        newest = newest_lease(folder)
        raise HeldElsewhere(newest.holder_id if newest is not None else "")


def _stands_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except OSError:
        return False


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    except OSError as error:
        raise PROBLEMS.error("journal_unreadable", detail=error.strerror or "it cannot be opened") from error


def _copy(source: int, count: int, path: Path) -> int:
    """The first ``count`` bytes of a file, forced to the disk, as a new one at ``path``; gives that, open and locked.

    Raises:
        OSError: the disk is full or gone; nothing is there.
    """
    making = path.with_name(path.name + ".new")
    file = os.open(making, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        lock(file)
        place = 0
        while place < count:
            data = os.pread(source, min(COPY_BYTES, count - place), place)
            if not data:
                raise OSError(errno.EIO, "the journal became shorter")
            place += os.pwrite(file, data, place)
        os.fsync(file)
        os.rename(making, path)
    except BaseException:
        os.close(file)
        with contextlib.suppress(OSError):
            making.unlink()
        raise
    return file

"""The right to write to a session: that of the process that made its newest lease, for as long as it beats.

A session's folder holds one small file for each lease, ``lease.1``, ``lease.2`` and so on: the *fencing number*. It is
created only where it is not there yet, so of all processes that want a session's next lease exactly one gets it. Lease
files stay for as long as the folder: a process that wakes up after a long pause finds its successor's, and knows that
it has lost.

A file says in one line which process made it, and whether that has let go.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path

from openmic.sessions.storage.holder import Holder
from openmic.sessions.storage.journal import InUse
from openmic.sessions.storage.other_holders import Life, OtherHolders

LEASE_NAME = re.compile(r"lease\.([1-9][0-9]{0,8})")
HELD, RELEASED = "held", "released"
LINE_BYTES = 64


class LeaseLost(Exception):
    """Another process has the session, or may have it: what was just written counts for nothing."""


class HeldElsewhere(InUse):
    """Another process that lives, or another part of this one, holds the session.

    Attributes:
        holder_id: of the process; "" where that is not known.
    """

    def __init__(self, holder_id: str) -> None:
        super().__init__(holder_id)
        self.holder_id = holder_id


@dataclass(frozen=True, slots=True)
class LeaseEntry:
    """A lease as its file has it.

    Attributes:
        fence: its number.
        holder_id: of the process that made it; "" while it has not said so.
        released: whether that has let go.
    """

    fence: int
    holder_id: str
    released: bool


def lease_path(folder: Path, fence: int) -> Path:
    """The file of a session's lease."""
    return folder / f"lease.{fence}"


def read_leases(folder: Path) -> list[LeaseEntry]:
    """All leases of a session, the oldest first."""
    try:
        fences = sorted(int(match[1]) for name in os.listdir(folder) if (match := LEASE_NAME.fullmatch(name)))
    except OSError:
        return []
    return [_read(folder, fence) for fence in fences]


def newest_lease(folder: Path) -> LeaseEntry | None:
    """The lease that counts; None: the session never had one."""
    leases = read_leases(folder)
    return leases[-1] if leases else None


def life_of(folder: Path, lease: LeaseEntry, others: OtherHolders) -> Life:
    """What is known of the process that made a lease; GONE, too, where that has let go."""
    if lease.released:
        return Life.GONE
    return others.life(lease.holder_id or f"{folder.name}/{lease.fence}")


class Lease:
    """A session's lease, made by this process; ``first`` or ``take`` makes one. Any thread may use it.

    Args:
        folder: of the session.
        session_id: its name; that of the folder, once others may know of it.
        holder: this process.
        fence: its number.
        epoch: of the holder, in which it was made.

    Attributes:
        fence: as the argument.
        lost: whether another process has the session.
    """

    def __init__(self, folder: Path, session_id: str, holder: Holder, fence: int, epoch: int) -> None:
        self.fence = fence
        self.lost = False
        self._session_id = session_id
        self._holder = holder
        self._epoch = epoch
        self._released = False
        self._lock = threading.Lock()
        self.move_to(folder)

    @classmethod
    def first(cls, folder: Path, holder: Holder, session_id: str) -> Lease:
        """Lease a session whose folder nobody else knows yet.

        Raises:
            OSError: it cannot be written.
        """
        epoch = holder.epoch()
        _make(folder, 1, holder)
        holder.note(session_id, held=True)
        return cls(folder, session_id, holder, 1, epoch)

    @classmethod
    def take(cls, folder: Path, holder: Holder, others: OtherHolders) -> Lease:
        """Lease a session that no living process holds.

        Raises:
            HeldElsewhere: one does, or was quicker.
            OSError: it cannot be written.
        """
        epoch = holder.epoch()
        newest = newest_lease(folder)
        if newest is not None:
            if newest.holder_id == holder.id and not newest.released:
                if holder.holds(folder.name):
                    raise HeldElsewhere(holder.id)
            elif life_of(folder, newest, others) is Life.ALIVE:
                raise HeldElsewhere(newest.holder_id)
        fence = newest.fence + 1 if newest is not None else 1
        holder.note(folder.name, held=True)
        try:
            _make(folder, fence, holder)
        except BaseException as error:
            holder.note(folder.name, held=False)
            if isinstance(error, FileExistsError):
                raise HeldElsewhere("") from error
            raise
        return cls(folder, folder.name, holder, fence, epoch)

    def confirm(self) -> None:
        """Make sure, behind something that was written, that nobody else had the session while it was.

        A process that takes a session over makes the next lease first, and reads the journal then. So one look for
        that, too, says whether what was just written was in time, whatever the clocks of a paused machine say; and the
        clock says it where a network file system remembers for a while what was not there. After a pause in which this
        process may have been found silent, the lease is made again.

        Raises:
            LeaseLost: somebody has, or may have it; the lease is good for nothing any more.
        """
        if not self._is_good():
            self._make_anew()

    def move_to(self, folder: Path) -> None:
        """The folder has another name from now on; nobody else knew the one before."""
        self._folder = folder
        self._next = os.fspath(lease_path(folder, self.fence + 1))

    def release(self) -> None:
        """Let go: this process writes nothing any more. Safe to call again."""
        with self._lock:
            if self._released:
                return
            self._released = True
            self._holder.note(self._session_id, held=False)
            if not self.lost:
                with contextlib.suppress(OSError):  # then the lease runs out
                    _write(lease_path(self._folder, self.fence), self._holder.id, RELEASED, os.O_WRONLY)

    def _is_good(self) -> bool:
        return not self.lost and self._holder.is_good(self._epoch) and not os.access(self._next, os.F_OK)

    def _make_anew(self) -> None:
        with self._lock:
            while not (self.lost or self._released):
                if self._is_good():
                    return
                try:
                    epoch = self._holder.epoch()
                    _make(self._folder, self.fence + 1, self._holder)
                except OSError:  # there is one already, or nobody can tell
                    self.lost = True
                    break
                self.fence, self._epoch = self.fence + 1, epoch
                self.move_to(self._folder)
        raise LeaseLost


def _make(folder: Path, fence: int, holder: Holder) -> None:
    _write(lease_path(folder, fence), holder.id, HELD, os.O_WRONLY | os.O_CREAT | os.O_EXCL)


def _write(path: Path, holder_id: str, standing: str, flags: int) -> None:
    """Write the file's one line in place, and close it: on a network file system others see it from then on."""
    file = os.open(path, flags | os.O_NOFOLLOW, 0o600)
    try:
        os.pwrite(file, f"{holder_id} {standing}".ljust(LINE_BYTES - 1).encode() + b"\n", 0)
    finally:
        os.close(file)


def _read(folder: Path, fence: int) -> LeaseEntry:
    try:
        words = lease_path(folder, fence).read_text(encoding="ascii", errors="replace").split()
    except OSError:
        words = []
    if len(words) != 2:  # just being made, or made by a process that died over it
        return LeaseEntry(fence, "", False)
    return LeaseEntry(fence, words[0], words[1] == RELEASED)

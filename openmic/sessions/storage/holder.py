"""One process among those that share a folder of sessions: it says that it lives, by rewriting a file of its own.

Whether a process may work on a session is decided by leases (``lease``), and a lease is good while the process that
holds it *beats*: it rewrites its file a few times in each ``lease_seconds``. Others watch that file (``other_holders``)
and compare what stands in it, never its time: no two clocks have to agree.

A process does not know how long it stood still (a machine that was suspended, a signal, a disk that hung). So it looks
at its own clock after each thing it does: while its last beat is younger than ``lease_seconds``, nobody can have found
it silent for so long. If it is older, the beats after it make a new *epoch*, in which each lease has to be made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import re
import secrets
import socket
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from openmic.ownership import make_private_folder

HOLDERS = "holders"  # the folder of all processes' files, in the folder of sessions
HOLDER_NAME = re.compile(r"[0-9a-f]{16}")
RUNNING = ".sessions"  # behind a process's id: the file in which it says which sessions it has
WANTED = ".wanted"  # behind a process's id: the folder of what others ask it to let go
BEATS_PER_LEASE = 4
BEAT_BYTES = 1024  # of a process's file, always: it is rewritten in place
MOST_NAME_CHARACTERS = 100
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def machine_id() -> str:
    """What is the same for all processes under one running kernel, and for no others."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return f"{platform.node()}-{uuid.getnode():x}"


def clock_through_sleep() -> float:
    """Seconds that also pass while this machine is suspended, where it has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def default_name() -> str:
    """What people call this process where nobody named it."""
    return f"{socket.gethostname()}-{os.getpid()}"


class Holder:
    """This process, or a part of it that has its own sessions; all methods may be called from any thread.

    Args:
        data_dir: the folder of sessions; nothing is written there before the first ``beat``.
        lease_seconds: how long a lease is good without a beat.
        name: for people.
        clock: seconds that pass while this process does not run, too; replaced in tests.
    """

    def __init__(
        self, data_dir: Path, lease_seconds: float, name: str = "", clock: Callable[[], float] = clock_through_sleep
    ) -> None:
        self.id = secrets.token_hex(8)
        self.name = (name or default_name())[:MOST_NAME_CHARACTERS]
        self.lease_seconds = lease_seconds
        self.clock = clock
        self._folder = data_dir / HOLDERS
        self._path = self._folder / self.id
        self._wanted = self._folder / (self.id + WANTED)
        self._lock = threading.Lock()
        self._file: int | None = None  # open for as long as this process lives: its lock says that it does
        self._locked = False
        self._beats = 0
        self._epoch = 0
        self._good_until = -float("inf")
        self._held: set[str] = set()  # changed without the lock, which is held while the disk is written to

    # --- the beat

    @property
    def begun(self) -> bool:
        """Whether there is a file to be kept fresh."""
        return self._file is not None

    def beat(self) -> None:
        """Say once more that this process lives.

        Raises:
            OSError: it cannot be written.
        """
        with self._lock:
            began = self.clock()
            try:
                self._write()
            except FileNotFoundError:  # never there before, or taken away by somebody
                self._begin()
                self._write()
            if self.clock() >= self._good_until:  # others may have found it silent for long enough
                self._epoch += 1
            self._good_until = began + self.lease_seconds

    def epoch(self) -> int:
        """The present epoch; beats if the last beat is too old.

        Raises:
            OSError: as ``beat``.
        """
        if self.clock() >= self._good_until:
            self.beat()
        return self._epoch

    def is_good(self, epoch: int) -> bool:
        """Whether at this moment a lease that was made in ``epoch`` cannot have been taken over."""
        now = self.clock()
        good_until = self._good_until  # read before the epoch, and written after it
        return now < good_until and epoch == self._epoch

    def close(self) -> None:
        """Take the file away: nothing is held any more. Safe to call again."""
        with self._lock:
            self._good_until = -float("inf")
            if self._file is None:
                return
            for path in (self._path, self._folder / (self.id + RUNNING)):
                with contextlib.suppress(OSError):
                    path.unlink()
            for mark in self._marks():
                with contextlib.suppress(OSError):
                    (self._wanted / mark).unlink()
            with contextlib.suppress(OSError):
                self._wanted.rmdir()
            with contextlib.suppress(OSError):
                self._folder.rmdir()  # the last one leaves
            os.close(self._file)
            self._file = None

    # --- what it holds, and what others want of it

    def note(self, session_id: str, *, held: bool) -> None:
        """Something in this process begins, or has ended, to hold a session."""
        (self._held.add if held else self._held.discard)(session_id)

    def holds(self, session_id: str) -> bool:
        """Whether something in this process holds the session."""
        return session_id in self._held

    def wanted(self) -> list[str]:
        """The sessions that others have asked for since the last call."""
        with self._lock:
            marks = self._marks() if self._file is not None else []
        for mark in marks:
            with contextlib.suppress(OSError):
                (self._wanted / mark).unlink()
        return marks

    def ask(self, holder_id: str, session_id: str) -> None:
        """Ask another process to let go of a session; it looks soon, if it lives.

        Raises:
            OSError: the wish cannot be left.
        """
        mark = self._folder / (holder_id + WANTED) / session_id
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600))

    def _marks(self) -> list[str]:
        try:
            return os.listdir(self._wanted)
        except OSError:
            return []

    def _begin(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        make_private_folder(self._folder)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            self._locked = False
            with contextlib.suppress(OSError):  # a file system without locks: then its beat alone says that it lives
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._locked = True
            self._wanted.mkdir(mode=0o700, exist_ok=True)
        except BaseException:
            os.close(file)
            raise
        self._file = file

    def _write(self) -> None:
        """Rewrite the file, and close it: on a network file system the others see it from then on."""
        if self._file is None:
            raise FileNotFoundError(self._path)
        self._beats += 1
        beat = {
            "beat": self._beats,
            "name": self.name,
            "lease_seconds": self.lease_seconds,
            "machine": machine_id(),
            "device": os.fstat(self._file).st_dev,
            "locked": self._locked,
        }
        data = json.dumps(beat, ensure_ascii=True).encode()[:BEAT_BYTES].ljust(BEAT_BYTES)
        file = os.open(self._path, os.O_WRONLY | os.O_NOFOLLOW)
        try:
            os.pwrite(file, data, 0)
        finally:
            os.close(file)

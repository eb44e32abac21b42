"""The other processes that share a folder of sessions: which of them live, which have gone."""

from __future__ import annotations

import contextlib
import enum
import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from openmic.sessions.storage.holder import BEAT_BYTES, HOLDER_NAME, HOLDERS, RUNNING, WANTED, machine_id

SLOWER_CLOCK = 1.1  # how much longer than it promised a process must be silent: no two clocks run equally fast
STALE_SECONDS = 600.0  # of silence, after which a process's file is taken away


class Life(enum.Enum):
    """What is known of another process."""

    ALIVE = "alive"  # or not known to be anything else yet
    SILENT = "silent"  # for longer than its leases last; it may still wake up
    GONE = "gone"  # for good: its lock is free, so that it can write nothing any more


@dataclass(frozen=True, slots=True)
class _Seen:
    """What stood in a process's file, since when by this process's clock, and whether it was seen to change."""

    raw: bytes
    since: float
    beats: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """What a process says of itself; see ``Holder``."""

    name: str = ""
    lease_seconds: float = 0.0
    machine: str = ""
    device: int = -1
    locked: bool = False


class OtherHolders:
    """Watches the others' files; all methods may be called from any thread.

    Args:
        data_dir: the folder of sessions.
        lease_seconds: how long one must be silent of which nothing can be read.
        clock: monotonic seconds, which do not pass while all of this machine is suspended; replaced in tests.
    """

    def __init__(self, data_dir: Path, lease_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = data_dir / HOLDERS
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, _Seen] = {}

    def life(self, holder_id: str) -> Life:
        """What is known of a process by now.

        Args:
            holder_id: its id, or what else stands for one of which nothing is known.
        """
        now = self._clock()  # before the look: what is read is at least as new
        raw = self._read(holder_id)
        beat = _parse(raw)
        with self._lock:
            seen = self._seen.get(holder_id)
            if seen is None or seen.raw != raw:
                seen = _Seen(raw, now, seen is not None)
                self._seen[holder_id] = seen
        if self._lock_is_free(holder_id, beat):
            return Life.GONE
        silent_seconds = max(beat.lease_seconds, self._lease_seconds) * SLOWER_CLOCK
        return Life.SILENT if now - seen.since >= silent_seconds else Life.ALIVE

    def knows(self, holder_id: str) -> bool:
        """Whether ``life`` will not change its mind unless the process does something, or dies.

        For one that it calls alive: its lock is held, or its file was seen to change.
        """
        if self.life(holder_id) is not Life.ALIVE:
            return True
        with self._lock:
            seen = self._seen[holder_id]
        return seen.beats or self._lock_is_free(holder_id, _parse(seen.raw)) is False

    def name(self, holder_id: str) -> str:
        """What people call a process; "" where that is not known."""
        return _parse(self._read(holder_id)).name

    def watch(self) -> None:
        """Look at all of them, so that it is known since when each has been silent; forget those of long ago."""
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._folder):
                if HOLDER_NAME.fullmatch(name):
                    self.life(name)
        now = self._clock()
        with self._lock:
            stale = [one for one, seen in self._seen.items() if now - seen.since >= STALE_SECONDS]
            for one in stale:
                del self._seen[one]
        for one in stale:
            if HOLDER_NAME.fullmatch(one):
                for name in (one, one + RUNNING):
                    with contextlib.suppress(OSError):
                        (self._folder / name).unlink()
                shutil.rmtree(self._folder / (one + WANTED), ignore_errors=True)

    def _read(self, holder_id: str) -> bytes:
        if not HOLDER_NAME.fullmatch(holder_id):
            return b""
        try:
            file = os.open(self._folder / holder_id, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return b""
        try:
            return os.pread(file, BEAT_BYTES, 0)
        finally:
            os.close(file)

    def _lock_is_free(self, holder_id: str, beat: Beat) -> bool | None:
        """Whether a process's lock is free, which it is once that has ended, however that came.

        None: nobody can tell. Only under one kernel, in one and the same file system, a lock is a proof.
        """
        if not beat.locked or beat.machine != machine_id():
            return None
        try:
            file = os.open(self._folder / holder_id, os.O_RDONLY | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            if os.fstat(file).st_dev != beat.device:
                return None
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            return False
        except OSError:
            return None
        finally:
            os.close(file)


def _parse(raw: bytes) -> Beat:
    """What a file says; all unknown where it says nothing that can be read."""
    try:
        said = json.loads(raw)
        return Beat(
            str(said["name"]),
            float(said["lease_seconds"]),
            str(said["machine"]),
            int(said["device"]),
            said["locked"] is True,
        )
    except (ValueError, KeyError, TypeError):
        return Beat()

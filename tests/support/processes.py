"""What processes of this machine take, as Linux tells it."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path


def children(pid: int | None) -> list[int]:
    """The processes that ``pid`` has started and that still run."""
    with contextlib.suppress(OSError):
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()]
    return []


def peak_bytes(pid: int) -> int:
    """The most that a process had in memory (``VmHWM``); a fork begins with what it shares with its parent."""
    return _status_bytes(pid, "VmHWM")


def _status_bytes(pid: int, name: str) -> int:
    with contextlib.suppress(OSError, IndexError):
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        return int(status.split(f"{name}:")[1].split()[0]) * 1024
    return 0


class Peak:
    """How much more a service takes while this is open: itself, and each process that one of its programs forks.

    Args:
        pid: of the service.
        forking: of the program that forks.
    """

    def __init__(self, pid: int, forking: int) -> None:
        self._pid, self._forking = pid, forking
        self._began = _status_bytes(pid, "VmRSS")
        self._first: dict[int, int] = dict.fromkeys(children(forking), 0)  # those that were there do not count
        self._peaks: dict[int, int] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        Path(f"/proc/{self._pid}/clear_refs").write_text("5", encoding="ascii")  # forget the peak until now
        self._there = set(children(self._forking))
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def more_bytes(self) -> int:
        """Of all of them together, each at its own worst moment."""
        forks = sum(peak - self._first[child] for child, peak in self._peaks.items())
        return max(0, peak_bytes(self._pid) - self._began) + forks

    def _watch(self) -> None:
        while not self._over.wait(0.001):
            for child in children(self._forking):
                if child in self._there:
                    continue
                self._first.setdefault(child, _status_bytes(child, "VmRSS"))
                self._peaks[child] = max(self._peaks.get(child, 0), peak_bytes(child))


def memory_bytes(pid: int, kind: str) -> int:
    """What a process has now: ``Rss``, ``Pss`` (shared memory by its part) or ``Private_Dirty``."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(rollup.split(f"\n{kind}:")[1].split()[0]) * 1024

"""What a process and its children cost: processor seconds and peak memory."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

SAMPLE_SECONDS = 0.5


class ProcessTree:
    """Watches a process and its children while it is entered.

    Args:
        pid: of the root.

    Attributes:
        peak_bytes: the largest resident memory seen, the tree's processes summed.
    """

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory-watch", daemon=True)
        self.peak_bytes = 0

    def __enter__(self) -> ProcessTree:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def cpu_seconds(self) -> float:
        """Processor seconds so far, of children that have ended too."""
        total = 0.0
        for process in self._processes():
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
            # of children that have been waited for; Windows and macOS do not tell
            total += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
        return total

    def memory_bytes(self) -> int:
        """Resident memory now."""
        total = 0
        for process in self._processes():
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        return total

    def _processes(self) -> list[psutil.Process]:
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def _watch(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, self.memory_bytes())
            if self._over.wait(SAMPLE_SECONDS):
                return

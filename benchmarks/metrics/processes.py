"""What a process and its children cost: processor seconds and peak memory."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import psutil

SAMPLE_SECONDS = 0.5
NOTED_CORES = 0.15  # more than this used by others is told beside the figures


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


class Others:
    """What everything else on this machine used while this was entered: figures from a busy machine are not figures.

    Args:
        pid: of the process that counts as ours, with its children; None: this one.

    Attributes:
        cores: processor seconds per second that were not ours or our children's.
    """

    def __init__(self, pid: int | None = None) -> None:
        self._own = ProcessTree(psutil.Process(pid).pid)
        self.cores = 0.0

    def __enter__(self) -> Others:
        self._began, self._busy, self._ours = time.monotonic(), _busy_seconds(), self._own.cpu_seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        theirs = _busy_seconds() - self._busy - (self._own.cpu_seconds() - self._ours)
        self.cores = max(0.0, theirs / (time.monotonic() - self._began))

    @property
    def note(self) -> str:
        """A warning in a few words, empty on a machine that is ours alone."""
        return "" if self.cores < NOTED_CORES else f"others used {self.cores:.1f} cores"


def _busy_seconds() -> float:
    """Processor seconds of the whole machine since it started."""
    times = psutil.cpu_times()
    return float(sum(getattr(times, name, 0.0) for name in ("user", "nice", "system", "irq", "softirq")))

"""How much room recordings have: a bound for their folder, and a part of the disk that stays free."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

from openmic.sessions.problems import PROBLEMS

MEGABYTE = 1_000_000


class DiskSpace:
    """Room in ``data_dir``.

    Args:
        data_dir: where recordings are; it need not be there yet.
        max_bytes: that all of it may take.
        min_free_bytes: that stay free on its disk.
    """

    def __init__(self, data_dir: Path, max_bytes: int, min_free_bytes: int) -> None:
        self._data_dir = data_dir
        self._max_bytes = max_bytes
        self._min_free_bytes = min_free_bytes
        self._used_bytes = 0

    def measure(self) -> None:
        """See how much the folder takes now; takes a while where there is much in it."""
        self._used_bytes = sum(_bytes(path) for path in self._data_dir.rglob("*"))

    def check_reserve(self, more_bytes: int = 0) -> None:
        """Let pass while the disk has more room than what stays free.

        Args:
            more_bytes: that are about to be written, here and in the folder for temporary files.

        Raises:
            OpenmicError: ``disk_full``.
        """
        folders = [self._data_dir, Path(tempfile.gettempdir())] if more_bytes else [self._data_dir]
        for folder in folders:
            there = next((path for path in (folder, *folder.parents) if path.exists()), None)
            if there is None:
                continue
            free = shutil.disk_usage(there).free - more_bytes
            if free < self._min_free_bytes:
                detail = f"of what is left, {self._min_free_bytes // MEGABYTE} MB stay free for everything else"
                raise PROBLEMS.error("disk_full", detail=detail)

    def check(self, more_bytes: int = 0) -> None:
        """Let pass while there is room to begin something; see ``check_reserve``.

        Raises:
            OpenmicError: ``disk_full``.
        """
        if self._used_bytes + more_bytes > self._max_bytes:
            detail = f"recordings may take {self._max_bytes // MEGABYTE} MB in all, and they do"
            raise PROBLEMS.error("disk_full", detail=detail)
        self.check_reserve(more_bytes)


def _bytes(path: Path) -> int:
    with contextlib.suppress(OSError):  # deleted at this moment
        status = os.lstat(path)
        return status.st_blocks * 512
    return 0

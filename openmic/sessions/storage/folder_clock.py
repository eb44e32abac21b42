"""What time it is by the clock of the disk that a folder is on, which need not be this machine's."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path


def disk_time(folder: Path) -> float:
    """Now, in seconds since 1970, as the disk of ``folder`` would date a file that is written there.

    A file server has a clock of its own, and so has each machine that writes to it; none of them need agree. Where
    nothing can be written, this machine's clock.
    """
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(b"\0")
        probe.flush()
        return os.fstat(probe.fileno()).st_mtime
    return time.time()


def age_seconds(*paths: Path, folder: Path) -> float:
    """Seconds since any of ``paths`` was last written, by the clock of the disk of ``folder``; 0: none is there."""
    newest = 0.0
    for path in paths:
        with contextlib.suppress(OSError):
            newest = max(newest, path.lstat().st_mtime)
    return disk_time(folder) - newest if newest else 0.0

"""Files and folders of one's own, on a machine that others use too."""

from __future__ import annotations

import os
import stat
from pathlib import Path

ROOT = 0


def make_private_folder(folder: Path) -> None:
    """Make a folder, and each of its parents that is missing, for its owner alone.

    Raises:
        OSError: it cannot be made, or something else is there.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
    if not folder.is_dir():
        raise NotADirectoryError(folder)


def is_ours(path: Path) -> bool:
    """Whether a file or folder, not a link to one, is this account's or the system's, and nobody else may write it.

    What lies in a folder that others can write, and is not ours, is theirs to choose. False where there is nothing.
    """
    try:
        status = path.lstat()
    except OSError:
        return False
    if stat.S_ISLNK(status.st_mode) or status.st_mode & stat.S_IWOTH:
        return False
    return os.geteuid() == ROOT or status.st_uid in (os.geteuid(), ROOT)

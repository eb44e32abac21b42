"""``python -m tests.matrix.room``: room on the disk for a run of everything, taken from what earlier runs left there.

What is deleted is made again when it is needed: environments of the matrix, uv's cache, and temporary folders of
pytest runs that were killed before they could clear up. It needs no package, as it runs before any is installed.
"""

from __future__ import annotations

import getpass
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from openmic_setup.place import cache_dir

SUITE_BYTES = 24 << 30  # this environment, a newcomer's in its test, what both download, and the weights
PAIR_BYTES = 12 << 30  # what making two environments of the matrix beside each other may need
FINISHED = "openmic-matrix.txt"  # the resolution, written into an environment when all of it is installed


def folder() -> Path:
    """Where environments and uv's cache are; one file system, so that uv can link and need not copy."""
    made = cache_dir() / "matrix"
    made.mkdir(parents=True, exist_ok=True)
    return made


def make_room(least_free_bytes: int, unused: Sequence[str] | None = None) -> Iterator[str]:
    """Delete what can be made again until this much of the disk is free: the least recently used first.

    Parameters:
        least_free_bytes: room that is wanted beside the cache folder.
        unused: names of environments that may go, such as ``3.12-lowest``; all where this is None. Those of a run
            that goes on must not be among them.

    Yields:
        The name of each thing that is gone.
    """
    dead_runs = [] if unused is not None else list(_killed_pytest_runs())
    kept = sorted(folder().glob(f"*/{FINISHED}"), key=lambda finished: finished.stat().st_mtime)
    kept_environments = [finished.parent for finished in kept]
    half_made = [place for place in folder().glob("3.*-*") if place not in kept_environments]
    # Environments are links into uv's cache: its files are there for as long as either has them.
    for place in (*dead_runs, *half_made, folder() / "uv", *kept_environments):
        if shutil.disk_usage(folder()).free >= least_free_bytes:
            return
        named = place.name.rpartition("-")[0]
        if place.is_dir() and (unused is None or place.name == "uv" or named in unused):
            shutil.rmtree(place, ignore_errors=True)
            yield place.name


def _killed_pytest_runs() -> Iterator[Path]:
    """Temporary folders whose pytest is no longer there; pytest itself waits three days before it deletes them."""
    for lock in Path(tempfile.gettempdir(), f"pytest-of-{getpass.getuser()}").glob("pytest-*/.lock"):
        try:
            os.kill(int(lock.read_text()), 0)
        except ProcessLookupError:
            yield lock.parent
        except (PermissionError, FileNotFoundError, ValueError):  # another's, just ended, just begun
            continue


def main() -> int:
    """Make room for the whole suite, and say what went for it.

    Returns:
        The exit status: 1 where there is still too little.
    """
    for deleted in make_room(SUITE_BYTES):
        print(f"room: deleted {deleted}", flush=True)
    free = shutil.disk_usage(folder()).free
    if free < SUITE_BYTES:
        print(f"room: {free / 2**30:.0f} GB are free, and the whole suite may need {SUITE_BYTES / 2**30:.0f}.")
    return int(free < SUITE_BYTES)


if __name__ == "__main__":
    sys.exit(main())

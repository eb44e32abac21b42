"""How ``test`` runs the tests: by several workers, a file of tests at a time, what is long first."""

from __future__ import annotations

import os
import sys
from pathlib import Path

QUICK = "--quick"  # an option of tests/conftest.py: no weights, no browser, nothing that takes long
CLUSTER = "--cluster"  # another: the tests that need Ray, and no others
WORKERS_BEYOND_CORES = 1  # while one worker waits for a browser or for real time to pass, another has its core
MOST_WORKERS = 8  # each may hold the weights twice: 2 GB


def command(options: list[str], cluster_python: Path | None = None) -> list[str]:
    """The command line that runs the tests.

    Args:
        options: pytest's, which win over ours: ``-n 0`` is one process, as for a debugger.
        cluster_python: of an environment with Ray, where ``--cluster`` is among them: one process, for a cluster takes
            all cores.
    """
    if cluster_python is not None:
        return [str(cluster_python), "-m", "pytest", "tests/cluster", *options]
    workers = min((os.cpu_count() or 1) + WORKERS_BEYOND_CORES, MOST_WORKERS)
    ours = ["-n", str(workers), "--dist", "loadfile", "--no-loadscope-reorder"]
    return [sys.executable, "-m", "pytest", *ours, *options]

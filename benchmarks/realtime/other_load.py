"""A program beside the service that takes a part of a core: ``python -m benchmarks.realtime.other_load 0.5``.

What other programs take already counts: on a machine that is not ours alone it works only for the rest.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.corpus.recordings import ROOT
from benchmarks.metrics.processes import Others

TURN_SECONDS = 0.1
LOOK_TURNS = 10  # between two looks at what others take


@contextlib.contextmanager
def other_load(cores: float) -> Iterator[None]:
    """Have so much of the machine taken, up to a core, while this is entered."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.realtime.other_load", str(cores)], cwd=ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def take(cores: float) -> None:
    """Work until the parent has gone, by this process's own processor time.

    Args:
        cores: that are taken in all by programs which are no children of the parent, and this one; at most 1.
    """
    parent, share = os.getppid(), cores
    while os.getppid() == parent:
        with Others(parent) as others:
            for _ in range(LOOK_TURNS):
                _work(min(1.0, share))
        share = max(0.0, cores - others.cores)


def _work(share: float) -> None:
    began, spent = time.monotonic(), time.process_time()
    while time.process_time() - spent < share * TURN_SECONDS:
        pass
    time.sleep(max(0.0, TURN_SECONDS - (time.monotonic() - began)))


if __name__ == "__main__":
    take(float(sys.argv[1]))

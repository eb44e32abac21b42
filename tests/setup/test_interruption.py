"""A cell that is interrupted while pip writes: what has begun is finished, what has not is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys, time
print("Collecting a", flush=True)
if sys.argv[2] == "writing":
    print("Installing collected packages: a", flush=True)
time.sleep(3)
open(sys.argv[1], "w").write("whole")
"""
CELL = """
import signal, sys
from openmic_setup.progress import follow
signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite that a shell began with & ignores it
writing = []
follow(
    [sys.executable, "-c", sys.argv[1], *sys.argv[2:]],
    "Installing",
    lambda line: (writing.append(line) if line.startswith("Installing") else None, print("NOW", line, flush=True)),
    must_finish=lambda: bool(writing),
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("phase", ["looking", "writing"])
def test_an_interruption_leaves_no_half_installed_package(phase: str, tmp_path: Path) -> None:
    file = tmp_path / "package"
    cell = subprocess.Popen(
        [sys.executable, "-c", CELL, PROGRAM, str(file), phase],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert cell.stdout is not None
    last = "NOW Installing collected packages: a" if phase == "writing" else "NOW Collecting a"
    while cell.stdout.readline().strip() != last:
        assert cell.poll() is None
    os.killpg(cell.pid, signal.SIGINT)  # as a notebook interrupts: the kernel and all programs of its group
    _, errors = cell.communicate(timeout=60)
    assert "KeyboardInterrupt" in errors
    assert file.exists() is (phase == "writing")

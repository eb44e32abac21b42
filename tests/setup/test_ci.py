"""`.ci/run` runs all of its stages, whatever becomes of the first, and fails if one has failed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Stands for Python 3.13 in an environment: notes what it is asked to run, and fails where its name is in $FAILS.
STAND_IN = """#!/usr/bin/env bash
case "$1" in
  --version) echo "Python 3.13.0"; exit 0;;
  -c) [[ $2 == *newest* ]] && echo 3.13-newest; exit 0;;
  -m) name=$2;;
  *) name=$1;;
esac
echo "$@" >>"$NOTE"
[[ " $FAILS " != *" $name "* ]]
"""


def run(tmp_path: Path, fails: str, *arguments: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run `.ci/run` with the stand-in; what it said, and what the stand-in was asked to run."""
    python, note = tmp_path / "python3.13", tmp_path / "note"
    python.write_text(STAND_IN)
    python.chmod(0o755)
    note.write_text("")
    variables = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "NOTE": str(note), "FAILS": fails}
    done = subprocess.run(
        ["bash", ".ci/run", *arguments],
        cwd=ROOT, env=os.environ | variables, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    return done, note.read_text().splitlines()


@pytest.mark.parametrize(
    ("fails", "failed"),
    [
        ("", set()),
        ("colab_bootstrap.py", {"tests", "cluster"}),
        ("ruff", {"lint"}),
        ("mypy tests.matrix", {"lint", "matrix"}),
        ("colab_bootstrap.py mypy tests.matrix", {"tests", "lint", "cluster", "matrix"}),
    ],
)
def test_every_stage_is_run_and_told(tmp_path: Path, fails: str, failed: set[str]) -> None:
    done, asked = run(tmp_path, fails, "-k", "some words")
    assert asked == [
        "-m tests.matrix.room",
        "colab_bootstrap.py test --durations=15 -k some words",
        "-m ruff check .",
        "-m ruff format --check .",
        "-m mypy",
        "colab_bootstrap.py test --cluster --durations=5",
        "-m tests.matrix --skip 3.13-newest",
    ]
    told = dict(re.findall(r"^(\w+): (passed|FAILED), \d+ s$", done.stdout, re.M))
    assert told == {
        stage: "FAILED" if stage in failed else "passed" for stage in ("tests", "lint", "cluster", "matrix")
    }
    assert (done.returncode == 0) == (not failed)


@pytest.mark.parametrize(("fails", "status"), [("", 0), ("mypy", 1)])
def test_one_stage_can_be_run_alone(tmp_path: Path, fails: str, status: int) -> None:
    done, asked = run(tmp_path, fails, "--only", "lint")
    assert done.returncode == status
    assert asked == ["-m ruff check .", "-m ruff format --check .", "-m mypy"]
    _, asked = run(tmp_path, fails, "--only", "cluster")
    assert asked == ["colab_bootstrap.py test --cluster --durations=5"]
    _, asked = run(tmp_path, fails, "--only", "tests", "-k", "some words")
    assert asked == ["-m tests.matrix.room", "colab_bootstrap.py test --durations=15 -k some words"]


@pytest.mark.parametrize("stage", ["", "lint matrix", "all"])
def test_a_stage_that_is_not_there_is_refused(tmp_path: Path, stage: str) -> None:
    done, asked = run(tmp_path, "", "--only", stage)
    assert done.returncode == 2
    assert "tests lint cluster matrix" in done.stderr
    assert asked == []

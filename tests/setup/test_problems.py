"""Every problem of the set-up stands in its one table, and those of the .venv are met for real."""

from __future__ import annotations

import fcntl
import os
import re
import sys
from pathlib import Path

import pytest

from openmic_setup import environment, pip
from openmic_setup.problems import PIP_FAILURES, PROBLEMS, WARNINGS, SetupError, warning_line

SETUP = Path(__file__).resolve().parents[2] / "openmic_setup"
BOOTSTRAP = SETUP.parent / "colab_bootstrap.py"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose .venv is to be made."""
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment, "PYTHON", tmp_path / ".venv" / "bin" / "python")
    monkeypatch.setattr(environment, "UNFINISHED", tmp_path / ".venv" / "openmic-unfinished")
    return tmp_path


def test_the_table_has_what_the_code_raises_and_nothing_else() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (*SETUP.glob("*.py"), BOOTSTRAP))
    raised = set(re.findall(r'SetupError\("(\w+)"', code))
    assert code.count("SetupError(") == len(raised) + 2  # the class itself, and pip's failures
    assert raised | {failure for _, failure in PIP_FAILURES} | {"pip_failed"} == set(PROBLEMS)


@pytest.mark.parametrize("code", PROBLEMS)
def test_each_problem_has_three_sentences(code: str) -> None:
    details = dict.fromkeys(("version", "found", "python", "path", "detail", "names"), "x")
    problem = SetupError(code, **details, minutes=1.0)
    assert (problem.code, len(problem.parts)) == (code, 3)
    assert all(re.fullmatch(r"\S.*\.", part) for part in problem.parts)
    assert "{" not in str(problem)


def test_the_warnings_are_those_that_the_code_gives_and_have_three_sentences() -> None:
    code = "".join(
        path.read_text(encoding="utf-8") for path in (*SETUP.glob("*.py"), BOOTSTRAP) if path.name != "problems.py"
    )
    assert {name for name in WARNINGS if f'"{name}"' in code} == set(WARNINGS)
    details = dict.fromkeys(("version", "name", "requirement", "advice"), "x")
    for name, parts in WARNINGS.items():
        assert len(parts) == 3
        assert all(re.fullmatch(r"\S.*\.", part) for part in parts)
        assert "{" not in warning_line(name, **details)


def test_a_python_without_venv_is_told(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    python = tmp_path / "python-without-venv"
    python.write_text("#!/bin/sh\necho No module named venv\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(SetupError, match=r"python3\.\d+-venv") as caught:
        environment.enter(["demo"])
    assert caught.value.code == "venv_failed"
    assert "No module named venv" in capsys.readouterr().out
    assert not environment.is_whole()


def test_a_folder_that_takes_no_venv_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "file").write_text("in the way")
    monkeypatch.setattr(environment, "VENV", root / "file" / ".venv")
    with pytest.raises(SetupError, match="Not a directory") as caught:
        environment.enter(["demo"])
    assert caught.value.code == "venv_not_writable"


def test_a_set_up_that_never_ends_is_told(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(environment, "LOCK_SECONDS", 0.0)
    other = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SetupError) as caught:
            environment.enter(["demo"])
    finally:
        os.close(other)
    assert caught.value.code == "setup_busy"
    assert "waiting for it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "do not fit"),
        (
            "WARNING: Retrying ... NewConnectionError('Failed to establish a new connection: [Errno -2]')\n"
            "ERROR: Could not find a version that satisfies the requirement segno",
            "could not be fetched",
        ),
        ("error: externally-managed-environment", "may not install anything"),
        ("ERROR: ResolutionImpossible: for help visit", "packages conflict"),
        ("error: subprocess-exited-with-error\n× python setup.py bdist_wheel did not run", "could not be built"),
        ("ERROR: No matching distribution found for segno>=99", "could not be found"),
        ("ERROR: [Errno 13] Permission denied: '/usr/lib'", "could not be written"),
        ("something that nobody has seen before", "could not be installed"),
    ],
)
def test_what_pip_says_becomes_what_to_do(output: str, what: str) -> None:
    problem = pip.pip_failure(output)
    assert what in problem.parts[0]
    assert all(part.endswith(".") for part in problem.parts)
    assert problem._render_traceback_() == list(problem.parts)


def test_each_pip_failure_has_a_test() -> None:
    assert len(PIP_FAILURES) == 7  # the cases above, without the unknown one

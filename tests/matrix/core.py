"""What is run in every environment: the parts of the suite that stand on other people's packages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tests.matrix.environments import Environment

ROOT = Path(__file__).resolve().parents[2]
PART_SECONDS = 1200.0  # the longest that a part may take; on two idle cores each takes less than four minutes
IMPORTS = Path(__file__).resolve().parent / "imports"

# By name: arguments for pytest.
TESTS = {
    "containers": ("tests/audio/test_decoder.py",),
    "service": ("tests/test_whole_service.py",),
    "SDKs": (
        "-n2",
        "tests/server/dialects/test_openai_sdk.py",
        "tests/server/dialects/test_openai_realtime_sdk.py",
        "tests/server/dialects/test_deepgram_live.py",
        "tests/server/dialects/test_deepgram_rest.py",
        "tests/server/dialects/test_assemblyai.py",
        "tests/server/dialects/test_soniox.py",
        "tests/server/dialects/test_wyoming.py",
    ),
    "page": ("tests/server/page/test_page.py::test_real_speech_through_the_microphone",),
    "notebook": ("tests/notebook/test_notebook.py::test_papermill_executes_it_without_an_edit",),
    "Run all": (
        "tests/notebook/test_serving.py",
        "tests/notebook/test_run_all.py",
        "tests/notebook/microphone/test_kernel.py",
        "--deselect=tests/notebook/microphone/test_kernel.py::test_a_subshell_answers_while_a_cell_runs",  # ipykernel 7
    ),
    "suite's tools": (
        "-n2",
        "tests/audio/test_samples.py",
        "tests/audio/test_silero.py",
        "tests/server/dialects/test_native_any.py::test_any_text",
        "tests/server/dialects/test_native_schema.py",
        "tests/benchmarks/test_benchmarks.py::test_pictures_are_drawn_of_rows_with_and_without_figures",
        "tests/setup/test_requirements.py::test_everything_resolves_on_each_python",
        "tests/client/test_live_lines.py",
        "tests/test_terminal.py",
        "tests/notebook/microphone/test_display.py",
    ),
}
# By name: modules with their arguments.
PROGRAMS = {
    "pip check": ("pip", "check"),
    "ruff": ("ruff", "check", "--no-cache", "."),
    "ruff format": ("ruff", "format", "--no-cache", "--check", "."),
    # With the types of the packages in this environment: which types others published has no meaning for what runs.
    "mypy": ("mypy", "--cache-dir", os.devnull, "--python-executable", sys.executable),
}
# What only the suite needs, run where each requirement's lowest version is.
OF_THE_SUITE = ("suite's tools",)
# What depends on the versions of the kernel, run with Colab's; the suite runs it with the newest.
OF_THE_KERNEL = ("Run all",)
LINT = ("ruff", "ruff format", "mypy")


@dataclass(frozen=True)
class Part:
    """One part as it was run in one environment.

    Attributes:
        name: a key of `TESTS` or `PROGRAMS`.
        passed: whether all of it passed, none skipped.
        count: how many tests passed; 0 for a program.
        seconds: how long it took.
        log: the file with what it printed.
    """

    name: str
    passed: bool
    count: int
    seconds: float
    log: Path


def names(whole: bool, lint: bool, kernel: bool = False) -> list[str]:
    """The parts in the order in which they are run.

    Parameters:
        whole: with what only the suite needs.
        lint: with lint and types.
        kernel: with what depends on the kernel.
    """
    left_out = (() if whole else OF_THE_SUITE) + (() if lint else LINT) + (() if kernel else OF_THE_KERNEL)
    return [name for name in (*PROGRAMS, *TESTS) if name not in left_out]


def run(name: str, environment: Environment, logs: Path) -> Part:
    """Run one part, in processes of its own.

    Parameters:
        logs: a folder for what it prints, for the modules it imports and for its recordings.
    """
    log = logs / f"{name.replace(' ', '-')}.log"
    report = log.with_suffix(".xml")
    if name in PROGRAMS:
        command = [str(environment.python), "-m", *PROGRAMS[name]]
    else:
        command = [str(environment.python), "-m", "pytest", "-p", "no:cacheprovider", "--durations=5"]
        command += [f"--junitxml={report}", *TESTS[name]]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="openmic-matrix-") as recordings, log.open("w") as output:
        variables = {
            "PATH": f"{environment.python.parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{IMPORTS}{os.pathsep}{ROOT}",
            "OPENMIC_MATRIX_IMPORTS": str(logs / "imports.txt"),
            "OPENMIC_DATA_DIR": recordings,
        }
        process = subprocess.Popen(
            command, cwd=ROOT, env=os.environ | variables, stdin=subprocess.DEVNULL, stdout=output,
            stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        status = _wait(process, output)
    count, skipped = _counted(report) if name in TESTS and report.exists() else (0, 0)
    passed = status == 0 and skipped == 0 and (name in PROGRAMS or count > 0)
    return Part(name, passed, count, round(time.monotonic() - began, 1), log)


def _wait(process: subprocess.Popen[bytes], log: TextIO) -> int:
    """The exit status; whoever takes too long is ended with all its children, and the log says so."""
    try:
        return process.wait(PART_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        log.write(f"\nended after {PART_SECONDS:.0f} s, which is the longest that a part may take\n")
        return status


def _counted(report: Path) -> tuple[int, int]:
    """How many tests passed, and how many were skipped, as pytest's report has it."""
    suite = ElementTree.parse(report).getroot().find("testsuite")
    if suite is None:
        return 0, 0
    total, errors, failures, skipped = (int(suite.get(key, 0)) for key in ("tests", "errors", "failures", "skipped"))
    return total - errors - failures - skipped, skipped


def imported(environment: Environment, logs: Path) -> set[str]:
    """The distributions that were imported in all parts that ran so far, by normalised name."""
    file = logs / "imports.txt"
    modules = set(file.read_text().split()) if file.exists() else set()
    return {name for module in modules for name in environment.modules.get(module, ())}

"""The set-up in a shell, from nothing: real environments, real pip; small requirements stand in for the large ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from openmic_setup import environment
from tests.support.setup_project import BARE_PYTHON, ROOT, bootstrap, make_project, put_alarm, variables


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.mark.slow
def test_a_shell_gets_a_venv_and_the_second_run_calls_no_pip(project: Path) -> None:
    first = bootstrap(project, "serve", "--port", "8000")
    assert first.returncode == 7, first.stdout + first.stderr
    assert f"handed over ['serve', '--port', '8000'] {project / '.venv'}" in first.stdout
    assert "Making .venv: done" in first.stdout
    assert "Installing 2 packages and what they need: done" in first.stdout

    called = put_alarm(project / ".venv")
    second = bootstrap(project, "demo")
    assert second.returncode == 7, second.stdout + second.stderr
    assert second.stdout == f"handed over ['demo'] {project / '.venv'}\n"
    assert not called.exists()

    (project / "requirements.txt").write_text("segno>=1.6\nplatformdirs>=4\niniconfig\n")  # the alarm does ring
    third = bootstrap(project, "demo")
    assert third.returncode == 2
    assert called.exists()
    assert "pip was started" in third.stdout


@pytest.mark.slow
def test_a_killed_set_up_is_made_anew(project: Path) -> None:
    command = [BARE_PYTHON, str(project / "colab_bootstrap.py"), "demo"]
    running = subprocess.Popen(
        command, env=variables(project), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 120
    while not (project / ".venv" / "bin" / "python").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert not environment_is_whole(project)

    repaired = bootstrap(project, "demo")
    assert repaired.returncode == 7, repaired.stdout + repaired.stderr
    assert "half-made; making it again" in repaired.stdout
    assert environment_is_whole(project)

    (project / ".venv" / "bin" / "python").unlink()  # as when the Python under it has gone
    again = bootstrap(project, "demo")
    assert again.returncode == 7, again.stdout + again.stderr
    assert "half-made; making it again" in again.stdout


def environment_is_whole(project: Path) -> bool:
    folder = project / ".venv"
    return (folder / "bin" / "python").exists() and not (folder / environment.UNFINISHED.name).exists()


@pytest.mark.slow
def test_two_set_ups_at_once_wait_for_each_other(project: Path) -> None:
    command = [BARE_PYTHON, str(project / "colab_bootstrap.py"), "demo"]
    both = [
        subprocess.Popen(command, env=variables(project), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=250)[0] for process in both]
    assert [process.returncode for process in both] == [7, 7], outputs
    assert sum("Making .venv: done" in output for output in outputs) == 1
    assert sum("waiting for it" in output for output in outputs) == 1


@pytest.mark.slow
def test_an_index_out_of_reach_is_said_plainly(project: Path) -> None:
    closed = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    failed = bootstrap(project, "demo", PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL="", **closed)
    assert failed.returncode == 2
    assert "The package index cannot be reached from this machine." in failed.stderr
    assert "run this again" in failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr
    assert bootstrap(project, "demo").returncode == 7  # with the index back it goes on


def test_setup_here_ends_in_one_line() -> None:
    code = "import colab_bootstrap; colab_bootstrap.setup()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith("openmic ")
    for part in ("Python 3.", "torch 2.", "GiB", "ready in "):
        assert part in line


def test_an_old_python_gets_a_sentence_not_a_traceback(project: Path) -> None:
    """The interpreter says that it is an older one; the rest of the way is the real one."""
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 18, 'final', 0); sys.argv = ['colab_bootstrap.py', 'demo']; "
        "runpy.run_path('colab_bootstrap.py', run_name='__main__')"
    )
    refused = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 2
    assert refused.stderr.strip().startswith("This Python is 3.9.")


@pytest.mark.parametrize("arguments", [[], ["dmeo"]])
def test_a_wrong_command_is_refused(project: Path, arguments: list[str]) -> None:
    refused = bootstrap(project, *arguments)
    assert refused.returncode == 2
    assert "demo|serve|check|test" in refused.stderr
    assert not (project / ".venv").exists()

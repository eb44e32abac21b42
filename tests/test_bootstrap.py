"""The set-up, from nothing: real environments, real pip; small requirements stand in for the large ones."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from openmic_setup import environment, pip, place, requirements
from openmic_setup.problems import PIP_FAILURES

ROOT = Path(__file__).resolve().parents[1]
COLAB_STAND_IN = ROOT / "tests" / "colab_stand_in"
BARE_PYTHON = getattr(sys, "_base_executable", sys.executable)

# A pip that only says that it was started: where it stands, nothing may call pip.
ALARM = "import pathlib, sys\npathlib.Path(__file__).with_name('called').touch()\nsys.exit('pip was started')\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of two small requirements whose command line prints what it was given."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "openmic_setup", folder / "openmic_setup", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("colab_bootstrap.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    (folder / "requirements.txt").write_text("# small ones\nsegno>=1.6\nplatformdirs>=4\n")
    (folder / "requirements-test.txt").write_text("pytest>=8\n")
    (folder / "openmic").mkdir()
    (folder / "openmic" / "__init__.py").touch()
    (folder / "openmic" / "__main__.py").write_text(
        "import sys, segno, platformdirs\nprint('handed over', sys.argv[1:], sys.prefix)\nsys.exit(7)\n"
    )
    (tmp_path / "home").mkdir()
    return folder


def variables(project: Path, **more: str) -> dict[str, str]:
    """The environment of somebody who has nothing yet; pip's settings stay."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "XDG", "JPY", "OPENMIC"))
    }
    return kept | {"HOME": str(project.parent / "home")} | more


def bootstrap(
    project: Path, *arguments: str, python: str = BARE_PYTHON, **more: str
) -> subprocess.CompletedProcess[str]:
    command = [python, *(["-I", "-S"] if more.pop("isolated", "") else []), str(project / "colab_bootstrap.py")]
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        cwd=project.parent,
        env=variables(project, **more),
        timeout=250,
    )


def listing(folder: Path) -> dict[str, int]:
    return {str(file.relative_to(folder)): file.stat().st_mtime_ns for file in sorted(folder.rglob("*"))}


def put_alarm(environment_folder: Path) -> Path:
    """Replace an environment's pip by the alarm; returns the file that is there once it was started."""
    (site,) = environment_folder.glob("lib/python*/site-packages")
    shutil.rmtree(site / "pip")
    (site / "pip").mkdir()
    (site / "pip" / "__init__.py").touch()
    (site / "pip" / "__main__.py").write_text(ALARM)
    return site / "pip" / "called"


# --- check


@pytest.mark.parametrize("isolated", ["", "yes"])
def test_check_works_with_nothing_installed_and_changes_nothing(project: Path, isolated: str) -> None:
    before = listing(project.parent)
    found = bootstrap(project, "check", isolated=isolated)
    assert found.returncode in (0, 2), found.stderr
    assert found.stderr == ""
    rows = {line[:11].strip(): line[13:] for line in found.stdout.splitlines()}
    assert rows["runtime"] == "shell; everything will be installed into .venv (not made yet)"
    assert rows["python"].startswith(".".join(map(str, sys.version_info[:2])))
    assert "GiB" in rows["device"]
    assert str(project.parent / "home" / ".cache" / "openmic") in rows["weights"]
    assert "OpenAI's download" in found.stdout
    assert "package index (base, tiny.en)" in found.stdout
    assert rows["public URL"].startswith("ngrok: ")
    assert "cloudflare: " in found.stdout
    if isolated:
        assert rows["torch"] == "not installed"
        assert rows["missing"] == "segno>=1.6, platformdirs>=4"
    assert listing(project.parent) == before


def test_check_changes_no_package_here() -> None:
    def packages() -> str:
        return subprocess.run([sys.executable, "-m", "pip", "freeze"], capture_output=True, text=True).stdout

    before = packages()
    found = subprocess.run([sys.executable, "colab_bootstrap.py", "check"], capture_output=True, text=True, cwd=ROOT)
    assert "missing  nothing" in found.stdout, found.stdout + found.stderr
    assert packages() == before


def test_check_never_shows_the_authtoken(project: Path) -> None:
    found = bootstrap(project, "check", NGROK_AUTHTOKEN="2aVerySecretToken_1234567890")
    assert "authtoken found" in found.stdout
    assert "2aVerySecretToken" not in found.stdout + found.stderr


def test_a_reader_that_goes_away_gets_no_traceback(project: Path) -> None:
    command = [BARE_PYTHON, str(project / "colab_bootstrap.py"), "check"]
    checking = subprocess.Popen(command, env=variables(project), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert checking.stdout is not None
    assert checking.stderr is not None
    checking.stdout.close()
    assert checking.stderr.read() == b""
    checking.stderr.close()
    assert checking.wait() == 1


# --- the .venv


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


def test_a_killed_set_up_is_made_anew(project: Path) -> None:
    command = [BARE_PYTHON, str(project / "colab_bootstrap.py"), "demo"]
    running = subprocess.Popen(
        command, env=variables(project), stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    deadline = time.monotonic() + 60
    while not (project / ".venv" / "bin" / "python").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert not environment_is_whole(project)

    repaired = bootstrap(project, "demo")
    assert repaired.returncode == 7, repaired.stdout + repaired.stderr
    assert "half-made; making it anew" in repaired.stdout
    assert environment_is_whole(project)

    (project / ".venv" / "bin" / "python").unlink()  # as when the Python under it has gone
    again = bootstrap(project, "demo")
    assert again.returncode == 7, again.stdout + again.stderr
    assert "half-made; making it anew" in again.stdout


def environment_is_whole(project: Path) -> bool:
    folder = project / ".venv"
    return (folder / "bin" / "python").exists() and not (folder / environment.UNFINISHED.name).exists()


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


def test_an_index_out_of_reach_is_said_plainly(project: Path) -> None:
    closed = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    failed = bootstrap(project, "demo", PIP_FIND_LINKS="", PIP_EXTRA_INDEX_URL="", **closed)
    assert failed.returncode == 2
    assert "The package index cannot be reached from this machine." in failed.stderr
    assert "run this again" in failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr
    assert bootstrap(project, "demo").returncode == 7  # with the index back it goes on


# --- Colab and Jupyter


def test_setup_in_colab_installs_what_is_missing_and_moves_nothing(project: Path) -> None:
    colab = project.parent / "colab"
    subprocess.run([sys.executable, "-m", "venv", str(colab)], check=True)
    python = str(colab / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "platformdirs==4.2.0"], check=True)

    def cell(code: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-c", code],
            capture_output=True,
            text=True,
            cwd=project,
            env=variables(project, PYTHONPATH=str(COLAB_STAND_IN)),
            timeout=250,
        )

    first = cell("import colab_bootstrap as b; b.setup(); import segno; print(b.runtime(), segno.__name__)")
    assert first.returncode == 0, first.stderr
    assert "Installing 1 package and what it needs: done" in first.stdout
    assert " · ready in " in first.stdout.splitlines()[-2]
    assert first.stdout.splitlines()[-1] == "colab segno"
    assert not (project / ".venv").exists()
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True).stdout
    assert "platformdirs==4.2.0" in listed

    (project / "requirements.txt").write_text("segno>=1.6\nplatformdirs>=4.3\n")
    moved = cell("import platformdirs, colab_bootstrap as b; b.setup()")
    assert moved.returncode == 0, moved.stderr
    assert "Warning: platformdirs 4.2.0 is here; openmic is tried with platformdirs>=4.3. Kept." in moved.stdout
    assert "Installing" not in moved.stdout
    assert " · ready in " in moved.stdout.splitlines()[-1]

    called = put_alarm(colab)
    again = cell("import colab_bootstrap as b; b.setup(); b.setup()")
    assert again.returncode == 0, again.stderr
    assert len(again.stdout.splitlines()) == 4  # the warning, twice
    assert not called.exists()


def test_setup_here_ends_in_one_line() -> None:
    code = "import colab_bootstrap; colab_bootstrap.setup()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith("openmic ")
    for part in ("Python 3.", "torch 2.", "GiB", "ready in "):
        assert part in line


# --- the parts


@pytest.mark.parametrize("version", [(3, 10), (3, 9), (2, 7)])
def test_another_python_is_refused_with_what_to_do(version: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "_starts", lambda name: name == "python3.12")
    problem = place.python_problem(version)
    assert problem is not None
    assert problem.code == "other_python"
    assert "3.11, 3.12 and 3.13" in problem.parts[1]
    assert "python3.12 colab_bootstrap.py" in problem.parts[2]


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_supported_pythons(version: tuple[int, int]) -> None:
    assert place.python_problem(version) is None
    assert place.python_warning(version) is None


def test_a_python_that_is_not_known_yet_is_tried_with_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert place.python_problem((3, 14)) is None
    assert "has not been run on Python 3.14 yet" in str(place.python_warning((3, 14)))
    monkeypatch.setattr(place, "runtime", lambda: "colab")
    assert "Runtime > Change runtime type > Runtime version" in str(place.python_warning((3, 14)))
    assert "Runtime version" in place.python_problem((3, 10)).parts[2]  # type: ignore[union-attr]


def test_a_runtime_of_somebody_elses_is_never_moved(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    """The day Colab has a newer torch than we know, it is kept: no gigabytes, no broken torchvision."""
    monkeypatch.setattr(pip, "_run", lambda command, title: pytest.fail("pip was started"))
    assert pip.install_missing(["torch<2", "numpy<1"], hold=True) == []
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2
    assert said[0].startswith("Warning: torch 2.")


def test_an_old_python_gets_a_sentence_not_a_traceback(project: Path) -> None:
    """The interpreter says that it is an older one; the rest of the way is the real one."""
    code = (
        "import runpy, sys; sys.version_info = (3, 9, 18, 'final', 0); sys.argv = ['colab_bootstrap.py', 'demo']; "
        "runpy.run_path('colab_bootstrap.py', run_name='__main__')"
    )
    refused = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert refused.stderr.strip().startswith("This Python is 3.9.")


def test_requirements_are_read_without_comments_and_with_markers(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text(
        "# all\nAv>=14  # decoder\n\nuvicorn[standard]>=0.34,<1\n"
        'old==1; python_version < "3.0"\nnew==2; python_version >= "3.11"\n'
        f"here==3; sys_platform == '{sys.platform}'\nelsewhere==4; sys_platform != '{sys.platform}'\n"
    )
    expected = ["Av>=14", "uvicorn[standard]>=0.34,<1", "new==2", "here==3"]
    assert requirements.read_requirements(file) == expected
    file.write_text('odd==1; implementation_name == "x"\n')
    with pytest.raises(ValueError, match="implementation_name"):
        requirements.read_requirements(file)


def test_our_own_requirement_files_can_be_read() -> None:
    both = requirements.read_requirements(ROOT / "requirements.txt", ROOT / "requirements-test.txt")
    assert requirements.missing(both) == []
    assert requirements.missing(["openai-whisper==20240930", "no-such-package", "numpy<1"]) == [
        "openai-whisper==20240930",
        "no-such-package",
        "numpy<1",
    ]


@pytest.mark.parametrize(
    ("version", "specifier", "expected"),
    [
        ("2.11.0+cu128", ">=2.4,<2.14", True),
        ("2.14.0", ">=2.4,<2.14", False),
        ("2.13.1", "<2.14", True),
        ("2.9", ">=2.10", False),
        ("2.0", "==2", True),
        ("2.0.1", "==2.0", False),
        ("1.0rc1", ">=1", True),
        ("1.5.post2", "!=1.5", False),
        ("3", ">3", False),
        ("3", "<=3", True),
        ("anything", "", True),
    ],
)
def test_versions_and_specifiers(version: str, specifier: str, expected: bool) -> None:
    assert requirements.satisfies(version, specifier) is expected


def test_a_specifier_that_is_not_known_is_an_error() -> None:
    with pytest.raises(ValueError, match="~=2"):
        requirements.satisfies("2", "~=2")


def test_everything_installed_is_held_but_what_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip, "runtime", lambda: "colab")
    held = pip.held_versions(["numpy>=99"])
    names = {line.split("==")[0] for line in held}
    assert {"torch", "fastapi", "pip"} <= names
    assert "numpy" not in names
    monkeypatch.setattr(pip, "runtime", lambda: "venv")
    assert "pip==" not in "\n".join(pip.held_versions([]))


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "do not fit"),
        (
            "WARNING: Retrying ... NewConnectionError('Failed to establish a new connection: [Errno -2]')\n"
            "ERROR: Could not find a version that satisfies the requirement segno",
            "could not be fetched",
        ),
        ("error: externally-managed-environment", "Nothing may be installed"),
        ("ERROR: ResolutionImpossible: for help visit", "do not go together"),
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


@pytest.mark.parametrize("arguments", [[], ["dmeo"]])
def test_a_wrong_command_is_refused(project: Path, arguments: list[str]) -> None:
    refused = bootstrap(project, *arguments)
    assert refused.returncode == 2
    assert "demo|serve|check|test" in refused.stderr
    assert not (project / ".venv").exists()

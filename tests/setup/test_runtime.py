"""The set-up in Colab and Jupyter: what is missing is installed, and nothing that is there is moved."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from openmic_setup import pip, place, requirements
from tests.support.setup_project import COLAB_STAND_IN, make_project, put_alarm, variables


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_project(tmp_path)


@pytest.mark.slow
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

    first = cell("import colab_bootstrap as b; b.setup('none'); import segno; print(b.runtime(), segno.__name__)")
    assert first.returncode == 0, first.stderr
    assert "Installing 1 package and what it needs: done" in first.stdout
    assert " · ready in " in first.stdout.splitlines()[-2]
    assert first.stdout.splitlines()[-1] == "colab segno"
    assert not (project / ".venv").exists()
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True).stdout
    assert "platformdirs==4.2.0" in listed
    segno = listed.partition("segno==")[2].split()[0]

    (project / "requirements.txt").write_text("segno>=1.6\nplatformdirs>=4.3\n")
    called = put_alarm(colab)
    kept = cell("import platformdirs, colab_bootstrap as b; b.setup('none')")
    assert kept.returncode == 0, kept.stderr
    warning, no_gpu, ready = kept.stdout.splitlines()
    assert no_gpu.startswith("Warning: This runtime has no GPU. ")
    assert warning.startswith("Warning: platformdirs 4.2.0 is older than openmic needs (platformdirs>=4.3). ")
    assert warning.endswith("the latest of Runtime > Change runtime type > Runtime version.")
    assert " · ready in " in ready

    (project / "requirements.txt").write_text("segno>=1.6,<1.6.1\nplatformdirs>=3,<4.2\n")
    newer = cell("import colab_bootstrap as b; b.setup('none'); b.setup('none')")
    assert newer.returncode == 0, newer.stderr
    assert [line.partition(" than ")[0] for line in newer.stdout.splitlines() if " than " in line] == [
        f"Warning: segno {segno} is newer",
        "Warning: platformdirs 4.2.0 is newer",
    ] * 2
    by_a_command = subprocess.run(
        [python, "colab_bootstrap.py", "demo"],  # as a cell's !python does
        capture_output=True,
        text=True,
        cwd=project,
        env=variables(project, PYTHONPATH=str(COLAB_STAND_IN)),
        timeout=250,
    )
    assert by_a_command.returncode == 7, by_a_command.stderr
    assert by_a_command.stdout.count("Warning: ") == 2
    assert not called.exists()
    looked = cell("import colab_bootstrap as b; b.main(['check'])").stdout
    assert "missing  nothing" in looked
    assert looked.count("Warning: ") == 2


@pytest.mark.slow
def test_a_notebook_in_our_own_environment_is_told_to_restart(project: Path) -> None:
    """There bounds hold; what this process has imported in its old version cannot be used on."""
    subprocess.run([sys.executable, "-m", "venv", str(project / ".venv")], check=True)
    python = str(project / ".venv" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "platformdirs==4.2.0"], check=True)
    (project / "requirements.txt").write_text("platformdirs>=4.3\n")
    done = subprocess.run(
        [python, "-c", "import platformdirs, colab_bootstrap as b; b.setup()"],
        capture_output=True,
        text=True,
        cwd=project,
        env=variables(project, JPY_PARENT_PID="1"),
        timeout=250,
    )
    assert done.returncode == 1
    assert "SetupError: The notebook must be restarted" in done.stderr
    assert "another version now: platformdirs." in done.stderr
    assert "ready" not in done.stdout
    assert "Warning" not in done.stdout


@pytest.mark.slow
def test_a_package_that_does_not_go_with_what_colab_has_is_told_not_forced(project: Path) -> None:
    """Something held is too old for a package that is to come: an error with a way out, and nothing is moved."""
    colab = project.parent / "colab"
    subprocess.run([sys.executable, "-m", "venv", str(colab)], check=True)
    python = str(colab / "bin" / "python")
    subprocess.run([python, "-m", "pip", "install", "-q", "packaging==20.9", "pyparsing==3.0.9"], check=True)
    (project / "requirements.txt").write_text("packaging>=22\nblack>=24\n")  # which needs packaging 22
    done = subprocess.run(
        [python, "-c", "import colab_bootstrap as b; b.main(['demo'])"],
        capture_output=True,
        text=True,
        cwd=project,
        env=variables(project, PYTHONPATH=str(COLAB_STAND_IN)),
        timeout=250,
    )
    assert "Warning: packaging 20.9 is older than openmic needs (packaging>=22)." in done.stdout
    assert done.stderr.strip().startswith("The packages conflict with others that this runtime has.")
    listed = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True).stdout
    assert "packaging==20.9" in listed
    assert "black" not in listed


@pytest.mark.slow
@pytest.mark.parametrize("under_jupyter", [False, True])
@pytest.mark.parametrize("ours", [False, True])
def test_bounds_hold_in_our_own_environment_alone(
    ours: bool, under_jupyter: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The .venv that we made is ours under a notebook too; what somebody else's notebook runs in is not."""
    monkeypatch.delenv("JPY_PARENT_PID", raising=False)
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    if under_jupyter:
        monkeypatch.setenv("JPY_PARENT_PID", "1")
    monkeypatch.setattr(place, "VENV", Path(sys.prefix) if ours else tmp_path / ".venv")
    started: list[list[str]] = []
    monkeypatch.setattr(pip, "_run", lambda command, title: started.append(command))
    pip.install_missing(["pytest<1"])
    assert bool(started) == (ours or not under_jupyter)
    assert not started or started[0][-1] == "pytest<1"


def test_the_torch_of_a_runtime_is_never_moved(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The day Colab has a newer torch than we know, it is kept: no gigabytes, no broken torchvision."""
    colab = {"torch": "2.14.0+cu130", "numpy": "2.1.3", "ipykernel": "6.17.1"}
    monkeypatch.setattr(requirements, "installed", lambda: colab)
    monkeypatch.setattr(pip, "installed", lambda: colab)
    monkeypatch.setattr(pip, "runtime", lambda: "colab")
    monkeypatch.setattr(pip, "holds_still", lambda: True)
    held: list[str] = []

    def run(command: list[str], title: str) -> None:
        assert command[command.index("--constraint") + 2 :] == ["segno>=1.6"]
        held.extend(Path(command[command.index("--constraint") + 1]).read_text().splitlines())

    monkeypatch.setattr(pip, "_run", run)
    assert pip.install_missing(["torch>=2.10,<2.14", "numpy>=2.2", "ipykernel>=6", "segno>=1.6"]) == []
    newer, older = capsys.readouterr().out.splitlines()
    assert newer.startswith("Warning: torch 2.14.0+cu130 is newer than openmic asks for (torch>=2.10,<2.14). ")
    assert older.startswith("Warning: numpy 2.1.3 is older than openmic needs (numpy>=2.2). ")
    assert held == ["ipykernel==6.17.1", "numpy==2.1.3", "torch==2.14.0+cu130"]


def test_everything_installed_is_held_but_what_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pip, "runtime", lambda: "colab")
    held = pip.held_versions(["numpy>=99"])
    names = {line.split("==")[0] for line in held}
    assert {"torch", "fastapi", "pip"} <= names
    assert "numpy" not in names
    monkeypatch.setattr(pip, "runtime", lambda: "venv")
    assert "pip==" not in "\n".join(pip.held_versions([]))


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
    assert str(place.python_warning((3, 14))).startswith("Warning: This Python is 3.14. ")
    assert "use Python 3.13" in str(place.python_warning((3, 14)))
    monkeypatch.setattr(place, "runtime", lambda: "colab")
    assert "an earlier one at Runtime > Change runtime type > Runtime version" in str(place.python_warning((3, 14)))
    assert "Runtime version" in place.python_problem((3, 10)).parts[2]  # type: ignore[union-attr]

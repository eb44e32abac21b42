"""A small project as the set-up finds it on a machine that has nothing yet, and ways to run it there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLAB_STAND_IN = ROOT / "tests" / "support" / "colab_stand_in"
BARE_PYTHON = getattr(sys, "_base_executable", sys.executable)

# A pip that only says that it was started: where it stands, nothing may call pip.
ALARM = "import pathlib, sys\npathlib.Path(__file__).with_name('called').touch()\nsys.exit('pip was started')\n"


def make_project(tmp_path: Path) -> Path:
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

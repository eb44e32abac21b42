"""The Pythons on this machine that openmic runs on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from openmic_setup.place import PYTHONS

ASK = (
    "import json, platform, sys; print(json.dumps([platform.python_implementation(), list(sys.version_info[:3]), "
    "sys._base_executable]))"
)
ASK_SECONDS = 20.0


@dataclass(frozen=True)
class Python:
    """One CPython: its path, and its version such as (3, 13, 0)."""

    path: Path
    version: tuple[int, int, int]

    @property
    def minor(self) -> str:
        """Such as 3.13."""
        return "{}.{}".format(*self.version)

    @property
    def full(self) -> str:
        """Such as 3.13.0."""
        return "{}.{}.{}".format(*self.version)


def found() -> list[Python]:
    """The newest CPython of each supported minor version among pyenv's and the names on PATH, oldest first."""
    best: dict[str, Python] = {}
    for path in _candidates():
        python = _ask(path)
        if python and python.version[:2] in PYTHONS:
            known = best.get(python.minor)
            if known is None or python.version > known.version:
                best[python.minor] = python
    return sorted(best.values(), key=lambda python: python.version)


def _candidates() -> list[str]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    of_pyenv = [str(path) for path in sorted(root.glob("versions/*/bin/python"))]
    names = ["python3", *(f"python{major}.{minor}" for major, minor in PYTHONS)]
    return of_pyenv + [path for name in names if (path := shutil.which(name))]


def _ask(path: str) -> Python | None:
    """The Python under an environment's or a version manager's name; None where it does not start."""
    try:
        answer = subprocess.run(
            [path, "-I", "-c", ASK], capture_output=True, text=True, timeout=ASK_SECONDS, check=True
        )
        implementation, (major, minor, patch), base = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Python(Path(base), (major, minor, patch)) if implementation == "CPython" else None

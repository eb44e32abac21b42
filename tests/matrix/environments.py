"""Environments that are made once and kept in the cache folder, each under a hash of what is in it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

from openmic_setup.requirements import requirement_name
from tests.matrix.index import UV, index_settings
from tests.matrix.pythons import Python
from tests.matrix.room import FINISHED, folder

INSTALL_SECONDS = 1200.0
TAIL_LINES = 15
ASK = """
import importlib.metadata, json
versions = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
print(json.dumps([versions, importlib.metadata.packages_distributions()]))
"""


# Held while one is made, and while room is made: uv's cache is not deleted beneath an installation.
MAKING = threading.Lock()


@dataclass(frozen=True)
class Environment:
    """One environment that is ready.

    Attributes:
        python: its interpreter.
        versions: every distribution in it, by normalised name.
        modules: the distributions (normalised names) that each top-level module comes from.
        kept: whether it was there already.
    """

    python: Path
    versions: dict[str, str]
    modules: dict[str, list[str]]
    kept: bool


class NotMade(Exception):
    """An environment could not be made; says what uv said."""


def make(name: str, python: Python, resolution: str) -> Environment:
    """The environment of this name with exactly these packages; one of that name with others is deleted.

    Parameters:
        name: such as ``3.12-lowest``.
        resolution: lines of ``name==version``.

    Raises:
        NotMade: something could not be fetched, built or installed.
    """
    key = hashlib.sha256(f"{python.path} {python.full}\n{resolution}".encode()).hexdigest()[:12]
    place = folder() / f"{name}-{key}"
    finished = place / FINISHED
    kept = finished.exists()
    if kept:
        finished.touch()  # what was used last is deleted last
    else:
        for old in folder().glob(f"{name}-*"):
            shutil.rmtree(old)
        variables = index_settings() | {"UV_CACHE_DIR": str(folder() / "uv"), "UV_LINK_MODE": "hardlink"}
        variables.pop("UV_CONSTRAINT", None)
        _uv(variables, "venv", "--quiet", "--no-config", "--python", str(python.path), str(place))
        packages = place / "packages.txt"
        packages.write_text(resolution)
        command = ("pip", "sync", "--quiet", "--no-config", "--python", str(_python(place)), str(packages))
        _uv(variables, *command)
        packages.rename(finished)
    return look(_python(place), kept)


def look(python: Path, kept: bool) -> Environment:
    """What is in the environment of an interpreter."""
    versions, modules = json.loads(subprocess.check_output([python, "-c", ASK], text=True, timeout=120))
    return Environment(
        python,
        {requirement_name(distribution): version for distribution, version in versions.items()},
        {module: sorted({requirement_name(one) for one in names}) for module, names in modules.items()},
        kept,
    )


def _python(place: Path) -> Path:
    return place / "bin" / "python"


def _uv(variables: dict[str, str], *arguments: str) -> None:
    done = subprocess.run(
        [*UV, *arguments], capture_output=True, text=True, env=os.environ | variables, timeout=INSTALL_SECONDS
    )
    if done.returncode != 0:
        raise NotMade("\n".join(done.stderr.strip().splitlines()[-TAIL_LINES:]))

"""Installs what is missing into this interpreter, and moves nothing that it has."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from openmic_setup import environment
from openmic_setup.place import holds_still, runtime
from openmic_setup.problems import PIP_FAILURES, SetupError, warning_line
from openmic_setup.progress import follow
from openmic_setup.requirements import installed, is_older, missing, outside, requirement_name

# Versions that pip can read back as a constraint; an operating system's own packages have others.
PLAIN_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc|\.post|\.dev)\d+)*(\+[\w.]+)?")
INSTALLING_TOOLS = {"pip", "setuptools", "wheel"}
TAIL_LINES = 15


def install_missing(requirements: list[str]) -> list[str]:
    """Install those requirements that are missing here; without any, pip is not even started.

    Everything else that is installed is held at its version by a constraints file. A runtime of somebody else's
    (Colab's, Jupyter's) fits together, and another torch is gigabytes and breaks torchvision: there what is installed
    stays, also in a version that the requirements do not allow, and one line of warning says so.

    Args:
        requirements: as ``read_requirements`` gives them.

    Returns:
        Names of distributions that were imported by this process already and have another version now.

    Raises:
        SetupError: pip failed; its last lines have been printed.
    """
    lacking = missing(requirements)
    if holds_still():
        kept = outside(requirements)
        for requirement, version in kept:
            print(kept_warning(requirement, version), flush=True)
        lacking = [requirement for requirement in lacking if requirement not in dict(kept)]
    if not lacking:
        return []
    before = installed()
    imported = _imported()
    with tempfile.TemporaryDirectory(prefix="openmic-") as folder:
        constraints = Path(folder) / "constraints.txt"
        constraints.write_text("".join(f"{line}\n" for line in held_versions(lacking)), encoding="utf-8")
        command = [sys.executable, "-u", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        command += ["--progress-bar", "off", "--constraint", str(constraints), *lacking]
        if not sys.dont_write_bytecode:  # Python compiles what it imports, a twentieth of it, and keeps that
            command.append("--no-compile")
        if importlib.util.find_spec("pip") is None:
            _run([sys.executable, "-m", "ensurepip"], "Installing pip")
        several = len(lacking) > 1
        what = f"{len(lacking)} packages and what they need" if several else "1 package and what it needs"
        _run(command, f"Installing {what}")
    importlib.invalidate_caches()
    after = installed()
    return sorted(name for name in imported if name in before and after.get(name) != before[name])


def kept_warning(requirement: str, version: str) -> str:
    """One line about a package that stays in a version that a requirement does not allow."""
    older = is_older(version, requirement)
    advice = "start the notebook from an environment of its own (python3 -m venv)"
    if runtime() == "colab":
        which = "the latest" if older else "an earlier one"
        advice = f"begin again with {which} of Runtime > Change runtime type > Runtime version"
    name = requirement_name(requirement)
    code = "package_older" if older else "package_newer"
    return warning_line(code, name=name, version=version, requirement=requirement, advice=advice)


def held_versions(lacking: list[str]) -> list[str]:
    """Constraint lines that hold all that is installed, but for what is to be installed again.

    A new virtual environment comes with whatever installing tools its Python carries, often too old for what is
    installed next; there they may move.
    """
    moving = {requirement_name(requirement) for requirement in lacking}
    if runtime() == "venv":
        moving |= INSTALLING_TOOLS
    return [
        f"{name}=={version}"
        for name, version in sorted(installed().items())
        if name not in moving and PLAIN_VERSION.fullmatch(version)
    ]


def pip_failure(output: str) -> SetupError:
    """What pip's output means to a person."""
    found = (code for pattern, code in PIP_FAILURES if re.search(pattern, output))
    return SetupError(next(found, "pip_failed"))


def _run(command: list[str], title: str) -> None:
    try:
        begun: list[str] = []

        def look(line: str) -> None:
            if line.startswith("Installing collected packages"):  # until here pip has only looked and fetched
                begun.append(line)
                environment.note_change()

        # A .venv that is left half-made is made again; a runtime of somebody else's cannot be.
        follow(command, title, look, must_finish=(lambda: bool(begun)) if holds_still() else None)
    except subprocess.CalledProcessError as failure:
        lines = [line for line in failure.output.splitlines() if line.strip()]
        print("\n".join(f"    {line}" for line in lines[-TAIL_LINES:]), flush=True)
        raise pip_failure(failure.output) from None
    except OSError as failure:
        raise SetupError("pip_not_started", detail=os.strerror(failure.errno or 0)) from failure


def _imported() -> set[str]:
    modules = importlib.metadata.packages_distributions()
    loaded = {name.partition(".")[0] for name in sys.modules}
    return {requirement_name(name) for module in loaded for name in modules.get(module, ())}

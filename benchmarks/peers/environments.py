"""Virtual environments for programs that we are compared with, each alone, made by pip in the cache folder."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from openmic.settings import Settings

INSTALL_SECONDS = 1500.0


class NotInstalled(Exception):
    """pip could not make the environment; the text is its last error."""


def cache_folder() -> Path:
    """Where benchmarks keep what they make once."""
    return Settings().cache_dir / "benchmarks"


def environment(name: str, requirements: Sequence[str], bare: Sequence[str] = ()) -> Path:
    """The Python of an environment; made if it is not there.

    Args:
        name: of its folder.
        requirements: what pip installs with all that they need.
        bare: what pip installs without.

    Raises:
        NotInstalled: pip failed or took too long.
    """
    wanted = hashlib.sha256("\n".join([sys.version, *requirements, *bare]).encode()).hexdigest()
    folder = cache_folder() / "environments" / name
    python, stamp = folder / "bin" / "python", folder / "made-from"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return python
    print(f"Making an environment with {', '.join(requirements)}", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    _install(python, requirements)
    if bare:
        _install(python, ["--no-deps", *bare])
    stamp.write_text(wanted, encoding="utf-8")
    return python


def _install(python: Path, what: Sequence[str]) -> None:
    command = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check", *what]
    try:
        made = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
    except subprocess.TimeoutExpired as late:
        raise NotInstalled(f"pip did not finish within {INSTALL_SECONDS:.0f} s") from late
    if made.returncode != 0:
        errors = [line for line in made.stderr.splitlines() if line.startswith("ERROR")]
        raise NotInstalled(errors[-1] if errors else "pip failed without a reason")

"""Where this runs: the Python, the kind of runtime, the GPU, the network."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from openmic_setup.problems import SetupError, warning_line

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHONS = ((3, 11), (3, 12), (3, 13))


def python_problem(version: tuple[int, int]) -> SetupError | None:
    """The error for a Python that openmic does not run on, or None for one that it does or may run on."""
    if version >= PYTHONS[0]:
        return None
    if runtime() == "colab":
        return SetupError("other_python_colab", version=f"{version[0]}.{version[1]}")
    others = [name for name in (f"python{major}.{minor}" for major, minor in PYTHONS[::-1]) if _starts(name)]
    found = f"this machine has {others[0]}" if others else "none is installed here yet"
    python = others[0] if others else "python3.12"
    return SetupError("other_python", version=f"{version[0]}.{version[1]}", found=found, python=python)


def python_warning(version: tuple[int, int]) -> str | None:
    """What to say of a Python that is newer than those that openmic has been run on; None for one of them."""
    if version <= PYTHONS[-1]:
        return None
    in_colab = "choose an earlier one at Runtime > Change runtime type > Runtime version"
    advice = in_colab if runtime() == "colab" else "use Python 3.13"
    return warning_line("python_untried", version=f"{version[0]}.{version[1]}", advice=advice)


def _starts(program: str) -> bool:
    """Whether a program is there and runs (a version manager leaves names that lead nowhere)."""
    if shutil.which(program) is None:
        return False
    return subprocess.run([program, "--version"], capture_output=True, timeout=20).returncode == 0


def runtime() -> str:
    """What this process runs in: ``colab``, ``jupyter``, ``venv`` or ``shell``; only the last needs a .venv."""
    with contextlib.suppress(ImportError, ValueError):
        if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:  # its image is made from Colab's, with Colab's own package
            return "jupyter"
        if "google.colab" in sys.modules or importlib.util.find_spec("google.colab"):
            return "colab"
    if sys.prefix != sys.base_prefix:
        return "venv"
    return "jupyter" if _under_jupyter() else "shell"


def holds_still() -> bool:
    """Whether this is a runtime of somebody else's, Colab's or Jupyter's, in which nothing that is there may be moved.

    Our own ``.venv`` is none, also under a notebook; nor is an environment that was activated in a shell.
    """
    if VENV.exists() and VENV.samefile(sys.prefix):
        return False
    return runtime() != "venv" or _under_jupyter()


def _under_jupyter() -> bool:
    return "ipykernel" in sys.modules or "JPY_PARENT_PID" in os.environ


def gpus() -> list[tuple[str, int, int]]:
    """Each GPU's name with its free and total memory in MiB, from nvidia-smi; empty where there is none."""
    query = ["nvidia-smi", "--query-gpu=name,memory.free,memory.total", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout
        rows = [line.rsplit(",", 2) for line in answer.splitlines() if line.strip()]
        return [(name.strip(), int(free), int(total)) for name, free, total in rows]
    except (OSError, ValueError, subprocess.SubprocessError):
        return []


def memory_line() -> str:
    """The machine's memory, where the system tells it."""
    try:
        rows = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        free, total = (int(rows[key].split()[0]) / 2**20 for key in ("MemAvailable", "MemTotal"))
        return f"{free:.1f} of {total:.1f} GiB memory free"
    except (OSError, KeyError, ValueError):
        return "memory unknown"


def device_line() -> str:
    """The GPU and its memory, or the CPU and the machine's."""
    found = [f"{name}, {free / 1024:.1f} of {total / 1024:.1f} GiB free" for name, free, total in gpus()]
    return " + ".join(found) or f"no GPU ({os.cpu_count()} CPU cores, {memory_line()})"


def cache_dir() -> Path:
    """Where openmic keeps weights (as its ``cache_dir`` setting, but before anything is installed)."""
    usual = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return Path(os.environ.get("OPENMIC_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or usual) / "openmic")


def reaches(host: str, port: int = 443) -> bool:
    """Whether a TCP connection to a host opens within three seconds."""
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError:
        return False
    return True

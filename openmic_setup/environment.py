"""The ``.venv`` beside the project: made once, made again when an interrupted run left it half-made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from openmic_setup.place import ROOT, VENV
from openmic_setup.problems import SetupError
from openmic_setup.progress import follow

PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
UNFINISHED = VENV / "openmic-unfinished"  # there from the first moment until everything is installed
LOCK_VARIABLE = "OPENMIC_SETUP_LOCK"
LOCK_SECONDS = 1800.0  # the longest that another set-up in the same folder is waited for


def is_whole() -> bool:
    """Whether the .venv can be used: its Python is there, and the run that made it came to its end."""
    return PYTHON.exists() and not UNFINISHED.exists()


def enter(arguments: list[str]) -> NoReturn:
    """Run ``colab_bootstrap.py`` again inside the .venv, which is made if need be.

    Raises:
        SetupError: it cannot be made, or another process has been making it for too long.
    """
    lock = _lock()
    if not is_whole():
        _make()
    if lock is not None:  # the new process goes on holding it until it has installed everything
        os.set_inheritable(lock, True)
        os.environ[LOCK_VARIABLE] = str(lock)
    rerun(arguments)


def rerun(arguments: list[str]) -> NoReturn:
    """Become ``colab_bootstrap.py`` with these arguments, inside the .venv as it is."""
    sys.stdout.flush()
    os.execv(PYTHON, [str(PYTHON), str(ROOT / "colab_bootstrap.py"), *arguments])


def finish() -> None:
    """Note that this .venv has everything, and let other set-ups go on."""
    if Path(sys.prefix) == VENV:
        UNFINISHED.unlink(missing_ok=True)
    lock = os.environ.pop(LOCK_VARIABLE, None)
    if lock:
        os.close(int(lock))


def note_change() -> None:
    """Note that this .venv is being changed now, so that the next run finds out when that is interrupted."""
    if Path(sys.prefix) == VENV:
        UNFINISHED.touch()


def _make() -> None:
    try:
        if VENV.exists():
            print("The .venv here was left half-made; making it again.", flush=True)
            shutil.rmtree(VENV)
        VENV.mkdir()
        UNFINISHED.touch()
        follow([sys.executable, "-m", "venv", str(VENV)], "Making .venv")
    except subprocess.CalledProcessError as failure:
        print(failure.output, flush=True)
        raise SetupError("venv_failed", version="{}.{}".format(*sys.version_info[:2])) from None
    except OSError as failure:
        path, detail = failure.filename or VENV, failure.strerror
        raise SetupError("venv_not_writable", path=path, detail=detail) from failure


def _lock() -> int | None:
    """Hold the project's folder against other set-ups; the system lets go when the process ends, however it ends."""
    if os.name == "nt":  # no such lock there: two set-ups at once must be avoided by hand
        return None
    import fcntl

    folder = os.open(ROOT, os.O_RDONLY)
    deadline = time.monotonic() + LOCK_SECONDS
    told = False
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return folder
        except BlockingIOError:
            if not told:
                print("Another set-up is running in this folder; waiting for it.", flush=True)
                told = True
            if time.monotonic() > deadline:
                raise SetupError("setup_busy", minutes=LOCK_SECONDS / 60) from None
            time.sleep(1)

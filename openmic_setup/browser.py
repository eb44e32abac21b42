"""A Chromium for the tests that open the page in a real browser."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from openmic_setup.problems import SetupError
from openmic_setup.progress import follow

CHROMIUMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The path of a Chromium that starts (Ubuntu's package is a stub that may not), or None."""
    for name in CHROMIUMS:
        path = shutil.which(name)
        if path and _starts(path):
            return path
    return _of_playwright()


def ensure() -> str:
    """Find a Chromium, or install one: with apt-get as root or through sudo, else with playwright.

    Returns:
        Its path.

    Raises:
        SetupError: there is none, and none can be installed.
    """
    found = find()
    if found:
        return found
    ways = [([sys.executable, "-m", "playwright", "install", "chromium"], "Installing Chromium with playwright")]
    if shutil.which("apt-get"):
        root = [] if os.geteuid() == 0 else ["sudo", "-n"]
        apt = " ".join([*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"])
        script = f"{apt} update && {apt} install -y --no-install-recommends chromium"
        ways.insert(0, (["sh", "-c", script], "Installing Chromium with apt-get"))
    for command, title in ways:
        try:
            follow(command, title)
        except subprocess.CalledProcessError as failure:
            print("\n".join(f"    {line}" for line in failure.output.splitlines()[-5:]), flush=True)
        found = find()
        if found:
            return found
    raise SetupError("no_chromium")


def put_on_path(chromium: str) -> None:
    """Let this process and its children find a Chromium by a name that is looked for on PATH."""
    if any(shutil.which(name) == chromium for name in CHROMIUMS):
        return
    folder = Path(tempfile.mkdtemp(prefix="openmic-chromium-"))
    (folder / CHROMIUMS[0]).symlink_to(chromium)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ['PATH']}"


def _starts(path: str) -> bool:
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.SubprocessError):
        return False


def _of_playwright() -> str | None:
    script = (
        "from playwright.sync_api import sync_playwright\n"
        "with sync_playwright() as playwright: print(playwright.chromium.executable_path)"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    path = answer.stdout.strip()
    return path if path and _starts(path) else None

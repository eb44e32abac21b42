"""Our requirements go beside what Colab has, and resolve on each Python that openmic runs on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openmic_setup.requirements import read_requirements, requirement_name

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "requirements.txt"
PINS = ROOT / "tests" / "colab_pins.txt"

# Colab's torch is a build of its own index; the one of the usual index differs in the CUDA packages that it requires.
# Torch is there already and is not resolved for its own sake, so its metadata is given here without them.
TORCH_WITHOUT_CUDA = """
index-strategy = "unsafe-best-match"

[[dependency-metadata]]
name = "torch"
version = "{version}"
requires-dist = ["filelock", "fsspec", "jinja2", "networkx", "setuptools", "sympy", "typing-extensions"]
"""


def pins() -> dict[str, str]:
    """Colab's versions by normalised name."""
    return {requirement_name(line): line.split("==")[1] for line in read_requirements(PINS)}


def index_settings() -> dict[str, str]:
    """The environment in which uv looks where pip does on this machine."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found: dict[str, str] = {}
    for line in listed.stdout.splitlines():
        match = re.fullmatch(r"[\w.:-]+\.([\w-]+)='(.*)'", line)
        if match:
            found[match[1]] = match[2].replace("\\n", " ")
    names = {
        "index-url": "UV_DEFAULT_INDEX",
        "extra-index-url": "UV_INDEX",
        "find-links": "UV_FIND_LINKS",
        "cert": "SSL_CERT_FILE",
    }
    settings = {names[key]: value for key, value in found.items() if key in names}
    if "UV_FIND_LINKS" in settings:
        settings["UV_FIND_LINKS"] = ",".join(settings["UV_FIND_LINKS"].split())
    return os.environ | settings


def resolve(
    requirements: list[str], folder: Path, python: str, constraints: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Let uv work out what would be installed on Linux; nothing is installed."""
    source = folder / "requirements.in"
    source.write_text("\n".join(requirements) + "\n")
    config = folder / "uv.toml"
    config.write_text(TORCH_WITHOUT_CUDA.format(version=pins()["torch"]))
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    assert uv, "uv is in requirements-test.txt"
    command = [uv, "pip", "compile", "--config-file", str(config), "--no-header", "--no-annotate", "--quiet"]
    command += ["--python-version", python, "--python-platform", "x86_64-manylinux_2_35", str(source)]
    if constraints:
        command += ["--constraint", str(constraints)]
    return subprocess.run(command, capture_output=True, text=True, env=index_settings(), timeout=280)


def versions(resolution: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """What a resolution would install, by normalised name."""
    assert resolution.returncode == 0, resolution.stderr
    lines = [line for line in resolution.stdout.splitlines() if "==" in line]
    return {requirement_name(line): line.split("==")[1].split(";")[0].split("+")[0].strip() for line in lines}


@pytest.mark.slow
def test_installing_beside_colabs_packages_moves_none_of_them(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    wanted = versions(resolve(read_requirements(REQUIREMENTS), tmp_path, "3.13", PINS))
    have = pins()
    moved = {name: version for name, version in wanted.items() if name in have and have[name] != version}
    assert not moved
    new = {name: version for name, version in wanted.items() if name not in have}
    record_property("newly installed in Colab", new)
    print("newly installed in Colab:", ", ".join(f"{name} {version}" for name, version in sorted(new.items())))
    assert {"openai-whisper", "pyngrok", "av"} <= set(new)  # what Colab is known to lack
    assert {"torch", "numpy", "numba", "fastapi", "ipywidgets", "ipykernel", "tornado"} <= set(wanted) - set(new)


@pytest.mark.parametrize("conflict", ["numpy<2", "fastapi<0.100", "ipywidgets>=8"])
def test_a_requirement_that_would_move_a_package_is_noticed(tmp_path: Path, conflict: str) -> None:
    requirements = [line for line in read_requirements(REQUIREMENTS) if requirement_name(line) not in conflict]
    resolution = resolve([*requirements, conflict], tmp_path, "3.13", PINS)
    assert resolution.returncode != 0
    assert "No solution found" in resolution.stderr
    assert requirement_name(conflict) in resolution.stderr


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.slow
def test_everything_resolves_on_each_python(tmp_path: Path, python: str) -> None:
    both = read_requirements(REQUIREMENTS, ROOT / "requirements-test.txt")
    wanted = versions(resolve(both, tmp_path, python))
    assert {requirement_name(line) for line in both} <= set(wanted)
    assert wanted["openai-whisper"] == "20250625"


def test_the_pins_are_plain_and_many() -> None:
    for line in PINS.read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.!]+", line), line
    assert len(pins()) > 600

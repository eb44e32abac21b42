"""Our requirements go beside what Colab has, and resolve on each Python that openmic runs on."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from openmic_setup.requirements import read_requirements, requirement_name
from tests.matrix.environments import look
from tests.matrix.index import UV, index_settings
from tests.matrix.sets import COLAB_PINS, colab_pins

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements.txt"
TEST_REQUIREMENTS = ROOT / "requirements-test.txt"
BENCHMARK_REQUIREMENTS = ROOT / "requirements-benchmarks.txt"

# Colab's torch is a build of its own index; the one of the usual index differs in the CUDA packages that it requires.
# Torch is there already and is not resolved for its own sake, so its metadata is given here without them.
TORCH_WITHOUT_CUDA = """
[[dependency-metadata]]
name = "torch"
version = "{version}"
requires-dist = ["filelock", "fsspec", "jinja2", "networkx", "setuptools", "sympy", "typing-extensions"]
"""


def resolve(
    requirements: list[str], folder: Path, python: str, constraints: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Let uv work out what would be installed on Linux; nothing is installed."""
    source = folder / "requirements.in"
    source.write_text("\n".join(requirements) + "\n")
    config = folder / "uv.toml"
    config.write_text(TORCH_WITHOUT_CUDA.format(version=colab_pins()["torch"]))
    command = [*UV, "pip", "compile", "--config-file", str(config), "--no-header", "--no-annotate", "--quiet"]
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
    wanted = versions(resolve(read_requirements(REQUIREMENTS), tmp_path, "3.13", COLAB_PINS))
    have = colab_pins()
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
    resolution = resolve([*requirements, conflict], tmp_path, "3.13", COLAB_PINS)
    assert resolution.returncode != 0
    assert "No solution found" in resolution.stderr
    assert requirement_name(conflict) in resolution.stderr


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.slow
def test_everything_resolves_on_each_python(tmp_path: Path, python: str) -> None:
    both = read_requirements(REQUIREMENTS, TEST_REQUIREMENTS)
    wanted = versions(resolve(both, tmp_path, python))
    assert {requirement_name(line) for line in both} <= set(wanted)
    assert wanted["openai-whisper"] == "20250625"


def test_the_pins_are_plain_and_many() -> None:
    for line in COLAB_PINS.read_text().splitlines():
        assert line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.!]+", line), line
    assert len(colab_pins()) > 600


# --- the names: what is imported is named, what is named is imported or says why not

# Imported where it is there, never needed: who lacks it is told what to do, or is not where it makes sense.
OPTIONAL = {
    "IPython": "a notebook has it",
    "google": "Colab's own",
    "sounddevice": "a microphone, which few servers have; the error says how to install it",
    "faster_whisper": "benchmarks install it into an environment of its own",
    "zmq": "ipykernel brings it; the stand-in for Colab's page runs inside a kernel",
    "pipecat": "`python -m benchmarks.clients` installs it into an environment of its own",
    "livekit": "the same",
    "aiohttp": "the same",
    "yaml": "Ray brings it; the tests of the cluster read deploy/ with it",
    "ray": "the extra `cluster`; `python colab_bootstrap.py test --cluster` installs it into an environment of its own",
    "py_nanotts": "made a recording that is kept",
}
OURS = {"openmic", "openmic_setup", "colab_bootstrap", "tests", "benchmarks", "docs"}


def imports(*folders: str) -> set[str]:
    """The top-level modules that are imported anywhere in these folders and are neither ours nor Python's."""
    found: set[str] = set()
    local = set(OURS)
    for folder in folders:
        for path in (ROOT / folder).rglob("*.py"):
            local |= {path.stem, path.parent.name}
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.partition(".")[0])
    return found - local - sys.stdlib_module_names - OPTIONAL.keys()


def distributions(modules: set[str]) -> set[str]:
    """Where modules come from, by normalised name."""
    known = look(Path(sys.executable), kept=True).modules
    return {name for module in modules for name in known[module]}


@pytest.mark.parametrize(
    ("folders", "files"),
    [
        (("openmic",), (REQUIREMENTS,)),
        (("tests", "docs", "sample_audio"), (REQUIREMENTS, TEST_REQUIREMENTS)),
        (("benchmarks",), (REQUIREMENTS, BENCHMARK_REQUIREMENTS)),
    ],
)
def test_what_is_imported_is_named(folders: tuple[str, ...], files: tuple[Path, ...]) -> None:
    named = {requirement_name(line) for line in read_requirements(*files)}
    assert distributions(imports(*folders)) <= named


@pytest.mark.parametrize(
    ("file", "folders"),
    [
        (REQUIREMENTS, ("openmic",)),
        (TEST_REQUIREMENTS, ("tests", "docs", "sample_audio")),
        (BENCHMARK_REQUIREMENTS, ("benchmarks",)),
    ],
)
def test_what_is_named_is_imported_or_says_why_not(file: Path, folders: tuple[str, ...]) -> None:
    used = distributions(imports(*folders))
    for line in file.read_text(encoding="utf-8").splitlines():
        requirement, _, reason = line.partition("#")
        if requirement.strip():
            name = requirement_name(requirement)
            assert (name in used) != ("not imported: " in reason), line


@pytest.mark.parametrize("file", [REQUIREMENTS, TEST_REQUIREMENTS, BENCHMARK_REQUIREMENTS])
def test_an_upper_bound_says_what_breaks(file: Path) -> None:
    for line in file.read_text(encoding="utf-8").splitlines():
        requirement, _, reason = line.partition("#")
        assert reason.strip() or not re.search("<|==|!=", requirement), line

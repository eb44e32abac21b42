"""The three sets of packages: the newest and the lowest that our requirements allow, and Colab's."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from openmic_setup.requirements import read_requirements, requirement_name
from tests.matrix.index import UV, index_settings
from tests.matrix.pythons import Python

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = tuple(
    ROOT / name for name in ("requirements.txt", "requirements-test.txt", "requirements-benchmarks.txt")
)
COLAB_PINS = ROOT / "tests" / "colab_pins.txt"
COLAB_PYTHON = "3.13"
RESOLVE_SECONDS = 300.0

# What every environment has besides: `pip check` is one of the things that are run.
ALWAYS = ("pip",)
# What Colab has and we do not ask for, but would use or run under if it is there.
COLAB_BESIDES = ("httptools", "uvloop", "ipython", "tornado", "traitlets", "tiktoken")
# Colab's torch is a build of its own index; the one of the usual index goes with other builds of these.
OF_ANOTHER_BUILD = re.compile(r"nvidia-.*|cuda-.*|triton")
# There is no wheel of it; everything else must have one, so that nobody needs a compiler.
BUILT_HERE = "openai-whisper"


@dataclass(frozen=True)
class PackageSet:
    """One way to choose versions.

    Attributes:
        name: as on the command line and in the table.
        constraints: which versions are held, by normalised name; all others are the newest.
        besides: packages to install that we do not ask for.
        whole: whether the suite's own tools are run, too.
        pythons: the minor versions it is run on; empty for all.
    """

    name: str
    constraints: Callable[[], dict[str, str]] = dict
    besides: tuple[str, ...] = ()
    whole: bool = False
    pythons: tuple[str, ...] = ()


def lowest_versions() -> dict[str, str]:
    """The lowest version that our requirements allow of each package they name, by normalised name.

    Raises:
        ValueError: a requirement has no lower bound, or a marker (what differs by Python could not be told apart here).
    """
    found: dict[str, str] = {}
    for line in "\n".join(file.read_text(encoding="utf-8") for file in REQUIREMENTS).splitlines():
        requirement = line.partition("#")[0].strip()
        if requirement:
            bound = re.fullmatch(r"[\w.-]+(>=|==)([\w.]+)(,<[\w.]+)?", requirement)
            if not bound:
                raise ValueError(f"a requirement without a lowest version, or with a marker: {requirement}")
            found[requirement_name(requirement)] = bound[2]
    return found


def colab_pins() -> dict[str, str]:
    """Colab's versions by normalised name."""
    return {requirement_name(line): line.split("==")[1] for line in read_requirements(COLAB_PINS)}


def _colabs() -> dict[str, str]:
    return {name: version for name, version in colab_pins().items() if not OF_ANOTHER_BUILD.fullmatch(name)}


SETS = {
    one.name: one
    for one in (
        PackageSet("newest"),
        PackageSet("lowest", lowest_versions, whole=True),
        PackageSet("colab", _colabs, COLAB_BESIDES, pythons=(COLAB_PYTHON,)),
    )
}


class Unresolvable(Exception):
    """No versions go together; says what uv said."""


def resolve(packages: PackageSet, python: Python, folder: Path) -> str:
    """What this set is today on this Python.

    Parameters:
        folder: where the files for uv may be put.

    Returns:
        Lines of ``name==version``, sorted.

    Raises:
        Unresolvable: no versions meet all requirements.
    """
    constraints, besides = folder / "constraints.txt", folder / "besides.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in packages.constraints().items()))
    besides.write_text("".join(f"{name}\n" for name in (*ALWAYS, *packages.besides)))
    variables = index_settings()
    command = [*UV, "pip", "compile", "--no-header", "--no-annotate", "--quiet", "--no-config"]
    command += ["--python", str(python.path), "--only-binary", ":all:", "--no-binary", BUILT_HERE]
    command += [str(file) for file in (*REQUIREMENTS, besides)]
    for file in (str(constraints), *variables.pop("UV_CONSTRAINT", "").split()):
        command += ["--constraint", file]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=RESOLVE_SECONDS)
    if done.returncode != 0:
        raise Unresolvable(done.stderr.strip())
    return "".join(sorted(line + "\n" for line in done.stdout.splitlines() if line.strip()))

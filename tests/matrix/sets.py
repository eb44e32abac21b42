"""The three sets of packages: the newest and the lowest that our requirements allow, and Colab's."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from openmic_setup.requirements import read_requirements, requirement_name
from tests.matrix.index import index_settings, uv
from tests.matrix.pythons import Python

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = tuple(
    ROOT / name for name in ("requirements.txt", "requirements-test.txt", "requirements-benchmarks.txt")
)
COLAB_PINS = ROOT / "tests" / "colab_pins.txt"
COLAB_PYTHON = "3.13"
RESOLVE_SECONDS = 300.0

# What every environment has besides: `pip check` is one of the things that are run.
ALWAYS = ("pip>=24.1.2",)
# What Colab has and we do not ask for, but would use or run under if it is there.
COLAB_BESIDES = ("httptools", "uvloop", "ipython", "jupyter-client", "tornado", "traitlets", "tiktoken")
# Colab's torch is a build of its own index; the one of the usual index goes with other builds of these.
OF_ANOTHER_BUILD = re.compile(r"nvidia-.*|cuda-.*|triton")


@dataclass(frozen=True)
class PackageSet:
    """One way to choose versions.

    Attributes:
        name: as on the command line and in the table.
        resolution: uv's word for it.
        whole: whether the suite's own tools are run, too.
        pythons: the minor versions it is run on; empty for all.
    """

    name: str
    resolution: str
    whole: bool = False
    pythons: tuple[str, ...] = ()


SETS = {
    one.name: one
    for one in (
        PackageSet("newest", "highest"),
        PackageSet("lowest", "lowest-direct", whole=True),
        PackageSet("colab", "highest", pythons=(COLAB_PYTHON,)),
    )
}


class Unresolvable(Exception):
    """No versions go together; says what uv said."""


def colab_pins() -> dict[str, str]:
    """Colab's versions by normalised name."""
    return {requirement_name(line): line.split("==")[1] for line in read_requirements(COLAB_PINS)}


def resolve(packages: PackageSet, python: Python, folder: Path) -> str:
    """What this set is today on this Python.

    Parameters:
        folder: where the files for uv may be put.

    Returns:
        Lines of ``name==version``, sorted.

    Raises:
        Unresolvable: no versions meet all requirements.
    """
    constraints = folder / "constraints.txt"
    constraints.write_text("")
    besides = [*ALWAYS]
    # Builds of the machine's own would hide older versions of the same name.
    variables = index_settings("find-links") if packages.name == "lowest" else index_settings()
    if packages.name == "colab":
        pins = {name: version for name, version in colab_pins().items() if not OF_ANOTHER_BUILD.fullmatch(name)}
        besides += COLAB_BESIDES
        constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
    others = folder / "others.txt"
    others.write_text("".join(f"{line}\n" for line in besides))
    command = [uv(), "pip", "compile", "--no-header", "--no-annotate", "--quiet", "--no-config"]
    command += ["--python", str(python.path), "--resolution", packages.resolution]
    command += [str(file) for file in (*REQUIREMENTS, others)]
    for file in (str(constraints), *variables.pop("UV_CONSTRAINT", "").split()):
        command += ["--constraint", file]
    done = subprocess.run(command, capture_output=True, text=True, env=variables, timeout=RESOLVE_SECONDS)
    if done.returncode != 0:
        raise Unresolvable(done.stderr.strip())
    return "".join(sorted(line + "\n" for line in done.stdout.splitlines() if line.strip()))

"""An environment over the one that runs: what it adds lies in the cache folder, and nothing beneath it moves."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from openmic_setup.pip import held_versions, pip_failure
from openmic_setup.place import cache_dir
from openmic_setup.progress import follow
from openmic_setup.requirements import read_requirements

FINISHED = "finished"  # a file that is there once everything is installed


def layer(name: str, requirements: Path) -> Path:
    """The Python of an environment that has all of this one's packages and these; made once, and kept.

    Args:
        name: of the folder in the cache folder; of one that has other contents nothing stays.
        requirements: a requirements file.

    Raises:
        SetupError: pip failed.
    """
    text = requirements.read_text(encoding="utf-8")
    key = hashlib.sha256(f"{sys.version} {sys.prefix}\n{text}".encode()).hexdigest()[:12]
    place = cache_dir() / name / key
    python = place / "bin" / "python"
    if (place / FINISHED).exists():
        return python
    if place.parent.exists():
        shutil.rmtree(place.parent)
    place.parent.mkdir(parents=True)
    try:
        follow([sys.executable, "-m", "venv", str(place)], f"Making an environment in {place}")
        own = Path(sysconfig.get_path("purelib", vars={"base": str(place), "platbase": str(place)}))
        beneath = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (own / "beneath.pth").write_text("".join(f"{path}\n" for path in sorted(beneath)), encoding="utf-8")
        with tempfile.TemporaryDirectory(prefix="openmic-") as folder:
            constraints = Path(folder) / "constraints.txt"
            constraints.write_text("".join(f"{line}\n" for line in held_versions([])), encoding="utf-8")
            command = [str(python), "-u", "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
            command += ["--progress-bar", "off", "--constraint", str(constraints), *read_requirements(requirements)]
            follow(command, f"Installing what {requirements.name} names")
    except subprocess.CalledProcessError as failure:
        print(failure.output, flush=True)
        raise pip_failure(failure.output) from None
    (place / FINISHED).touch()
    return python

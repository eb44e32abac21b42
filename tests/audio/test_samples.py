"""The recordings that come with the project: what the README says of them is so."""

from __future__ import annotations

import importlib.util
import sys
import wave
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def make(sample_audio: Path) -> ModuleType:
    """The script that made them."""
    spec = importlib.util.spec_from_file_location("make_sample_audio", sample_audio / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where its dataclass looks for itself
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "shortest", "longest"), [("quickstart", 13, 18), ("interview", 55, 80)])
def test_each_is_16_bit_mono_of_its_length(name: str, shortest: float, longest: float, sample_audio: Path) -> None:
    with wave.open(str(sample_audio / f"{name}.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
        assert shortest < file.getnframes() / 16_000 < longest


def test_each_has_its_text_and_is_in_the_readme(sample_audio: Path, make: ModuleType) -> None:
    readme = (sample_audio / "README.md").read_text(encoding="utf-8")
    recordings = {path.stem for path in sample_audio.iterdir() if path.suffix in (".wav", ".flac")}
    assert recordings == set(make.RECORDINGS)
    for name, lines in make.RECORDINGS.items():
        assert (sample_audio / f"{name}.txt").read_text(encoding="utf-8").split() == " ".join(
            line.text for line in lines
        ).split()
        assert f"`{name}.wav`" in readme


def test_they_clone_quickly(sample_audio: Path) -> None:
    assert sum(path.stat().st_size for path in sample_audio.rglob("*") if path.is_file()) < 4_000_000


def test_the_script_still_makes_the_first(sample_audio: Path, make: ModuleType) -> None:
    """Other processors round the voice a little differently, so: as long, and as loud in the same places."""
    made = make.record(make.Hibari(), make.RECORDINGS["quickstart"])
    with wave.open(str(sample_audio / "quickstart.wav")) as file:
        kept = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert abs(len(made) - len(kept)) < 1600
    frames = min(len(made), len(kept)) // 1600
    loudness = [np.abs(x[: frames * 1600].astype(float)).reshape(frames, 1600).mean(axis=1) for x in (made, kept)]
    assert np.corrcoef(loudness[0], loudness[1])[0, 1] > 0.9

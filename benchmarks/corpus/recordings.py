"""The recordings that benchmarks are run on, with the text that is spoken in each."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from openmic.audio.types import SAMPLE_RATE, Samples

ROOT = Path(__file__).resolve().parents[2]
SHARED_AUDIO_VARIABLE = "OPENMIC_SHARED_AUDIO"


@dataclass(frozen=True, slots=True)
class Clip:
    """One recording: its name, its samples (16 kHz mono float32), the text as spoken, and the language (ISO 639-1)."""

    name: str
    samples: Samples
    text: str
    language: str = "en"

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE


def shared_folder() -> Path | None:
    """The folder of public-domain recordings beside the checkout (or OPENMIC_SHARED_AUDIO), where there is one."""
    folder = Path(os.environ.get(SHARED_AUDIO_VARIABLE) or ROOT.parent / "shared" / "audio")
    return folder if folder.is_dir() else None


def reading_clips(folder: Path) -> list[Clip]:
    """LJ Speech in order, then LibriVox: together they are one reading."""
    return [clip for name in ("lj", "librivox") for clip in _with_references(folder / name)]


def sample_clips() -> list[Clip]:
    """The project's own recordings in English."""
    files = sorted((ROOT / "sample_audio").glob("*.wav"), reverse=True)
    return [Clip(file.stem, load(file), file.with_suffix(".txt").read_text(encoding="utf-8").strip()) for file in files]


def german_clip() -> Clip:
    """The project's own recording in another language."""
    file = ROOT / "sample_audio" / "german.ogg"
    return Clip(file.stem, load(file), file.with_suffix(".txt").read_text(encoding="utf-8").strip(), "de")


def spanish_clip(folder: Path) -> Clip:
    """A letter, LibriVox."""
    text = (folder / "librivox-es" / "carta.txt").read_text(encoding="utf-8").strip()
    return Clip("carta", load(folder / "librivox-es" / "carta.mp3"), text, "es")


def jfk_clip(folder: Path) -> Clip:
    """The inaugural address, whose text its folder's README quotes."""
    quoted = (folder / "README.md").read_text(encoding="utf-8").split("jfk.flac", 1)[1].split('"')[1]
    return Clip("jfk", load(folder / "jfk.flac"), quoted)


def load(path: Path) -> Samples:
    """Read any recording as 16 kHz mono float32 (through 16-bit samples, as ``whisper.load_audio`` does)."""
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
        frames = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames]).astype(np.float32) / 32768.0


def _with_references(folder: Path) -> list[Clip]:
    clips = []
    for line in (folder / "references.tsv").read_text(encoding="utf-8").splitlines():
        name, text = line.split("\t")
        clips.append(Clip(name, load(next(folder.glob(f"{name}.*"))), text))
    return clips

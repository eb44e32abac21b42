"""Transcriptions after the fact, for comparison: the whole file at once, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.corpus.recordings import ROOT
from benchmarks.metrics.processes import Others
from benchmarks.peers import faster_whisper_files
from benchmarks.peers.environments import environment
from openmic.settings import Settings
from openmic.speech.weights.locate import locate

LONGEST_SECONDS = 7200.0


class NotRun(Exception):
    """A program that we wanted to compare with does not run here; the text says why."""


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What a batch transcription gave and cost; the loading of the model is not counted.

    Attributes:
        text: the transcript.
        seconds: from start to text.
        cpu_seconds: of the processor.
        peak_bytes: resident memory of its process, model included.
        note: that others used the machine too, if they did.
    """

    text: str
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    note: str = ""


def openai_whisper(file: Path, model: str, language: str, words: bool = False) -> BatchResult:
    """One greedy ``whisper.transcribe``, float32; with ``words`` it finds the times of the words, as the final does."""
    weights = locate(model, Settings().cache_dir)
    command = [sys.executable, "-m", "benchmarks.peers.batch_openai_whisper", str(weights), str(file), language]
    return _run([*command, "words"] if words else command)


def faster_whisper(file: Path, language: str) -> BatchResult:
    """faster-whisper's greedy transcription of ``base``, int8.

    Raises:
        NotInstalled: its environment cannot be made.
        NotRun: it failed.
    """
    python = environment("faster-whisper", ["faster-whisper==1.2.1"])
    script = Path(__file__).with_name("batch_faster_whisper.py")
    return _run([str(python), str(script), str(faster_whisper_files.folder()), str(file), language])


def _run(command: Sequence[str]) -> BatchResult:
    with Others() as others:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST_SECONDS)
    if done.returncode != 0:
        raise NotRun(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}")
    return BatchResult(**json.loads(done.stdout.splitlines()[-1]), note=others.note)

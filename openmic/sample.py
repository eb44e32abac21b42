"""The project's own recordings, for a first try."""

from __future__ import annotations

from pathlib import Path

from openmic.launch_problems import PROBLEMS


def sample_path(name: str = "quickstart") -> Path:
    """Where ``sample_audio/NAME.wav`` is: beside the package, or under the present folder.

    Raises:
        OpenmicError: ``no_sample``.
    """
    for root in (Path(__file__).resolve().parents[1], Path.cwd()):
        path = root / "sample_audio" / f"{name}.wav"
        if path.is_file():
            return path
    raise PROBLEMS.error("no_sample", name=name)

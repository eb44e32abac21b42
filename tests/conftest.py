"""What every test may ask for. Real weights, real audio; nothing here is faked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def sample_audio() -> Path:
    """The project's own recordings; beside each NAME.wav (or .flac) stands its exact text in NAME.txt."""
    return ROOT / "sample_audio"


@pytest.fixture(scope="session")
def shared_audio() -> Path | None:
    """More recordings, where a checkout has them beside it (or OPENMIC_SHARED_AUDIO names them); else None."""
    folder = Path(os.environ.get("OPENMIC_SHARED_AUDIO", ROOT.parent / "shared" / "audio"))
    return folder if folder.is_dir() else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what is marked `last` behind all else, so that a broken part shows before the long run through all of it."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)

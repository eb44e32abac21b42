"""The real Serve application over the scripted engine: for tests of what stands around the real one."""

from __future__ import annotations

import os

from openmic.settings import Settings
from tests.support.scripted_engine import ScriptedEngine

PLACES = 4


def load_scripted(settings: Settings) -> ScriptedEngine:
    """What a replica has in the place of Whisper."""
    return ScriptedEngine(capacity=PLACES)


def load_unlike(settings: Settings) -> ScriptedEngine:
    """One for the first replica that can do little, and better ones for all others, as on cards of two kinds."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        os.close(os.open(settings.data_dir / "first", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return ScriptedEngine(capacity=PLACES)
    return ScriptedEngine(capacity=1)

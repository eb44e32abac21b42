"""The real Serve application over the scripted engine: for tests of what stands around the real one."""

from __future__ import annotations

from openmic.settings import Settings
from tests.support.scripted_engine import ScriptedEngine

PLACES = 2


def load_scripted(settings: Settings) -> ScriptedEngine:
    """What a replica has in the place of Whisper."""
    return ScriptedEngine(capacity=PLACES)

"""Sessions over the scripted engine, with no server around them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openmic.sessions.registry import Sessions
from openmic.settings import Settings
from tests.support.scripted_engine import ScriptedEngine


@contextmanager
def scripted_sessions(
    folder: Path, *, capacity: int | None = None, **settings: object
) -> Iterator[tuple[Sessions, ScriptedEngine]]:
    """Sessions whose recordings are in ``folder``, and their engine; closed at the end, with their finals let go."""
    engine = ScriptedEngine(capacity=capacity)
    sessions = Sessions(Settings(**{"data_dir": folder, "stop_seconds": 5.0, **settings}), engine)  # type: ignore[arg-type]
    try:
        yield sessions, engine
    finally:
        engine.may_finish.set()
        sessions.close()
        engine.close()

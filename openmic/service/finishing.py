"""Final texts of stored sessions that no server will finish any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from openmic.progress import ProgressCallback, silent
from openmic.sessions.archive import StoredSession
from openmic.sessions.events import Progressed, SessionEvent
from openmic.sessions.offline import finish
from openmic.settings import Settings
from openmic.speech.load import load_engine
from openmic.speech.types import FinalText


def finish_sessions(
    entries: Sequence[StoredSession], settings: Settings, progress: ProgressCallback = silent
) -> Iterator[tuple[StoredSession, FinalText]]:
    """Transcribe stored sessions one after the other, with one engine.

    Args:
        entries: sessions that ``needs_finishing`` is true for.
        settings: of the engine and of what a session may use.
        progress: told what takes long.

    Yields:
        Each session with its final text, when it has it.

    Raises:
        OpenmicError: as ``load_engine`` and ``finish``.
    """
    engine = load_engine(settings, progress)
    try:
        for entry in entries:

            def show(event: SessionEvent, name: str = entry.short) -> None:
                if isinstance(event, Progressed) and event.progress.total_seconds:
                    progress(f"transcribing {name}", event.progress.walked_seconds / event.progress.total_seconds)

            yield entry, finish(entry, engine, settings, show)
    finally:
        engine.close()

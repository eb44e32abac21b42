"""What a session writes down as it happens, so that another server could go on from there."""

from __future__ import annotations

import time
from collections.abc import Callable

from openmic.errors import OpenmicError
from openmic.sessions.events import Committed, Ended, Finalised, Reason
from openmic.sessions.storage.folder import SessionFiles
from openmic.sessions.storage.record_file import Kind
from openmic.sessions.storage.replay import EndedEntry, StoppedEntry, error_fields, to_payload
from openmic.speech.types import FinalWindow

OnRecord = Callable[[], None]


class JournalWriter:
    """Writes one session's records; what is written stands in the file before a method returns.

    Args:
        files: of the session.
        on_record: called when something was written that should not wait long for the disk.

    Raises:
        OSError: from every method: the disk is full or gone; nothing was written.
        LeaseLost: from every method: another process has the session; what was written counts for nothing.
    """

    def __init__(self, files: SessionFiles, on_record: OnRecord) -> None:
        self._files = files
        self._journal = files.journal
        self._on_record = on_record

    def recovered(self) -> None:
        """Another server goes on with this session."""
        self._journal.record(Kind.RECOVERED, self._files.takeover)

    def flush(self) -> None:
        """What was received so far is to be treated as an ended utterance."""
        self._journal.record(Kind.FLUSHED, b"")

    def stop(self, reason: Reason, error: OpenmicError | None) -> None:
        """No more audio is taken."""
        self._write(Kind.STOPPED, to_payload(StoppedEntry(reason, error_fields(error))))

    def write_event(self, event: Committed | Finalised) -> None:
        """The client is about to be told."""
        self._write(_kind(event), to_payload(event))

    def write_window(self, window: FinalWindow) -> None:
        """The final pass has come so far; nobody is told, and it need not be on the disk soon."""
        self._journal.record(Kind.WALKED, to_payload(window))

    def end(self, ended: Ended) -> None:
        """The session is over and went well."""
        over = EndedEntry(time.time(), len(self._journal), ended.audio_seconds, ended=ended)
        self._write(Kind.ENDED, to_payload(over))

    def fail(self, error: OpenmicError, audio_seconds: float) -> None:
        """The session is over and did not go well."""
        over = EndedEntry(time.time(), len(self._journal), audio_seconds, error=error_fields(error))
        self._write(Kind.FAILED, to_payload(over))

    def settle(self, *, compact: bool) -> None:
        """Force all to the disk and let go of it; ``compact``: the recording is what is kept of the audio."""
        self._files.settle(compact=compact)

    def _write(self, kind: Kind, payload: bytes) -> None:
        self._journal.record(kind, payload)
        self._on_record()


def _kind(event: Committed | Finalised) -> Kind:
    return Kind.COMMITTED if isinstance(event, Committed) else Kind.FINALISED

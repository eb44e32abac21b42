"""The final text of a session that no server will finish any more."""

from __future__ import annotations

from collections.abc import Callable

from openmic.audio.decoder_processes import DecoderProcesses
from openmic.sessions.archive import StoredSession
from openmic.sessions.events import SessionEvent
from openmic.sessions.lease_thread import LeaseThread
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.running import RunningSession
from openmic.sessions.state import Limits, State
from openmic.sessions.storage.folder import Household
from openmic.sessions.storage.holder import Holder
from openmic.settings import Settings
from openmic.speech.types import Engine, FinalText

JOIN_SECONDS = 2.0  # how long the thread that keeps the lease may take to end


def needs_finishing(entry: StoredSession) -> bool:
    """Whether nobody works on it, its client's bytes are there, and its final text is not."""
    if entry.replay is None or entry.replay.compact or entry.standing not in ("unfinished", "failed"):
        return False
    return entry.standing == "unfinished" or entry.snapshot().final is None


def finish(entry: StoredSession, engine: Engine, settings: Settings, show: Callable[[SessionEvent], None]) -> FinalText:
    """Transcribe what is there, and keep it as the server would.

    Args:
        entry: a session that ``needs_finishing``.
        engine: what turns audio into words.
        settings: what a session may use.
        show: told what the session says on the way, from its threads.

    Raises:
        OpenmicError: ``recording_in_use``, ``disk_full``, or what the session ended with instead of a final.
    """
    holder = Holder(entry.folder.parent, settings.lease_seconds, settings.replica)
    leases = LeaseThread(Household(holder, entry.others), lambda session_id: None)  # one that asks waits for the final
    try:
        with DecoderProcesses() as decoders:
            return _finish(entry, engine, settings, show, decoders, holder)
    finally:
        leases.close(JOIN_SECONDS)


def _finish(
    entry: StoredSession,
    engine: Engine,
    settings: Settings,
    show: Callable[[SessionEvent], None],
    decoders: DecoderProcesses,
    holder: Holder,
) -> FinalText:
    files, replay = entry.take(holder)
    session = RunningSession(files, replay, Limits.of(settings), engine, decoders.decode, recovered=True)
    try:
        session.attach(show, replay.seq)
        session.stop_once("timeout")  # unless its client had
        session.ended.wait()
    except BaseException:
        session.abandon(PROBLEMS.error("server_stopping"))
        raise
    finally:
        session.join(settings.stop_seconds)
        session.release()
    snapshot = session.snapshot()
    assert snapshot.state is State.ENDED
    if snapshot.final is None:
        raise snapshot.error or PROBLEMS.error("session_failed", detail="no final")
    return snapshot.final

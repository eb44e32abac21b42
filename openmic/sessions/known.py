"""The sessions that one process knows, running and ended, and what those had that are not here any more."""

from __future__ import annotations

import logging
import threading
from collections import deque

from openmic.log import log_event
from openmic.sessions.session import Session
from openmic.sessions.state import State

logger = logging.getLogger(__name__)

JOIN_SECONDS = 2.0  # how long one waits for threads that have nothing left to do
DELETED_KNOWN = 1000  # sessions of which it is known that they were here and are deleted


class KnownSessions:
    """A table by name, with totals; all methods may be called from any thread.

    Attributes:
        lock: of the table and its totals; may be held over several calls.
        opened_total: sessions that were begun here.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.opened_total = 0
        self._sessions: dict[str, Session] = {}
        self._gone_bytes = 0
        self._gone_seconds = 0.0
        self._deleted = deque[str](maxlen=DELETED_KNOWN)

    def __contains__(self, session_id: str) -> bool:
        """Whether there is one of that name, also one that another process goes on with."""
        return session_id in self._sessions

    def all(self) -> tuple[Session, ...]:
        """All of them."""
        with self.lock:
            return (*self._sessions.values(),)

    def here(self, session_id: str) -> Session | None:
        """One that this process has, running or ended."""
        session = self._sessions.get(session_id)
        return session if session is not None and not session.moved else None

    def was_deleted(self, session_id: str) -> bool:
        """Whether there was such a session here that has been deleted (of the last DELETED_KNOWN ones)."""
        return session_id in self._deleted

    def begin(self, session: Session) -> None:
        """Add one that begins here."""
        with self.lock:
            self._sessions[session.id] = session
            self.opened_total += 1

    def take_in(self, session: Session) -> None:
        """Add one whose bytes another process received, or has gone on with in between."""
        with self.lock:
            before = self._sessions.get(session.id)  # one that had moved, and has come back
            self._sessions[session.id] = session
            self._count(session, -1)
            if before is not None:
                self._count(before, +1)

    def drop(self, session: Session) -> None:
        """Let another process have one: nothing is deleted, and its totals stay."""
        with self.lock:
            if self._sessions.get(session.id) is not session:
                return
            del self._sessions[session.id]
            self._count(session, +1)
        session.release()

    def delete(self, session: Session) -> None:
        """Delete one that has ended.

        Raises:
            Exception: it could not be deleted; it is still known.
        """
        with self.lock:
            if self._sessions.pop(session.id, None) is None:
                return
            self._deleted.append(session.id)
            self._count(session, +1)
        session.join(JOIN_SECONDS)
        try:
            session.delete()
        except Exception:  # what is promised to be deleted is: the keeper comes back to it
            with self.lock:
                self._sessions[session.id] = session
                self._deleted.remove(session.id)
                self._count(session, -1)
            raise
        log_event(logger, "session_deleted", session=session.id)

    def close(self, session: Session) -> None:
        """Take one out at this process's end."""
        with self.lock:
            self._sessions.pop(session.id, None)

    def received_bytes_total(self) -> int:
        """Bytes that were received here."""
        with self.lock:
            return self._gone_bytes + sum(session.received_bytes for session in self._sessions.values())

    def backlog_bytes(self) -> int:
        """Bytes of all sessions that wait to be decoded."""
        with self.lock:
            return sum(one.backlog_bytes for one in self._sessions.values() if one.state is not State.ENDED)

    def audio_seconds_total(self) -> float:
        """Seconds of audio that were heard here."""
        with self.lock:
            return self._gone_seconds + sum(session.recording.seconds for session in self._sessions.values())

    def _count(self, session: Session, times: int) -> None:
        self._gone_bytes += times * session.received_bytes
        self._gone_seconds += times * session.recording.seconds

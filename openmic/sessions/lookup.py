"""A session by its id, wherever it is: here, in the folder, or at another process that is asked to let go."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable

from openmic.sessions.known import KnownSessions
from openmic.sessions.problems import PROBLEMS, SessionHeld
from openmic.sessions.recovery import Recovery
from openmic.sessions.session import Session
from openmic.sessions.storage.replay import hash_token

NO_TOKEN = hash_token(secrets.token_urlsafe(24))  # compared where there is no session: takes the same time


class Lookup:
    """All methods may be called from any thread.

    Args:
        known: what is here.
        recovery: looks into the folder.
        take_in: called with each session that is taken up for its client.
    """

    def __init__(self, known: KnownSessions, recovery: Recovery, take_in: Callable[[Session], None]) -> None:
        self._known = known
        self._recovery = recovery
        self._take_in = take_in
        self._fetching = threading.Lock()

    def get(self, session_id: str) -> Session:
        """The session of that id; as its folder has it, to be read, where another process holds it.

        Raises:
            OpenmicError: ``unknown_session``, ``session_deleted``, ``journal_unreadable``.
        """
        session = self._known.here(session_id)
        if session is None and not self._known.was_deleted(session_id):
            session = self._recovery.show(session_id)
        if session is None:
            raise PROBLEMS.error("session_deleted" if self._known.was_deleted(session_id) else "unknown_session")
        return session

    def read(self, session_id: str, resume_token: str) -> Session:
        """The session of that id, to be read with its resume token, whichever process holds it.

        Raises:
            OpenmicError: ``unknown_session``: no such session, or a wrong token; ``journal_unreadable``.
        """
        token_hash = hash_token(resume_token)
        session = self._known.here(session_id)
        if session is None:
            session = self._recovery.show(session_id, token_hash)
        if not hmac.compare_digest(session.token_hash if session is not None else NO_TOKEN, token_hash):
            session = None
        if session is None:
            raise PROBLEMS.error("unknown_session")
        return session

    def resume(self, session_id: str, resume_token: str, *, may_take_up: bool) -> Session:
        """The session of that id, for a client with its resume token; from now on this process works on it.

        Args:
            session_id: of the session.
            resume_token: of the session.
            may_take_up: whether it may come from another process.

        Raises:
            OpenmicError: ``unknown_session``: no such session, or a wrong token; ``session_held`` (``SessionHeld``):
                another process holds it, and was asked to let go: try again in a moment.
        """
        token_hash = hash_token(resume_token)
        session = self._known.here(session_id)
        if session is not None:
            session.check_lease()  # a process that stood still may have lost it
        if session is None or session.moved:
            if not may_take_up:
                raise SessionHeld("")
            session = self._fetch(session_id, token_hash)
        elif not hmac.compare_digest(session.token_hash, token_hash):
            session = None
        if session is None:
            hmac.compare_digest(NO_TOKEN, token_hash)
            raise PROBLEMS.error("unknown_session")
        session.resume_token = resume_token
        return session

    def _fetch(self, session_id: str, token_hash: str) -> Session | None:
        """Take up a session for its client; one at a time, and nobody waits: a crowd would take all workers.

        Raises:
            OpenmicError: ``session_held``: another process has it, or another session is being taken up.
        """
        if not self._fetching.acquire(blocking=False):
            raise SessionHeld("")
        try:
            session = self._known.here(session_id)
            if session is not None:
                return session if hmac.compare_digest(session.token_hash, token_hash) else None
            session = self._recovery.fetch(session_id, token_hash)
            if session is not None:
                self._take_in(session)
            return session
        finally:
            self._fetching.release()

"""A session that runs, known as one: what the server hands out may have ended, too."""

from __future__ import annotations

from openmic.sessions.running import RunningSession
from openmic.sessions.session import Session


def running(session: Session) -> RunningSession:
    """The same session."""
    assert isinstance(session, RunningSession)
    return session

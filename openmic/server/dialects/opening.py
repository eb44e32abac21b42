"""Opens a connection's session: a new one, or one that was begun before, also where another process holds it."""

from __future__ import annotations

import asyncio
import contextlib

from openmic.errors import OpenmicError
from openmic.server.access.client_access import ClientAccess
from openmic.sessions.problems import SessionHeld
from openmic.sessions.registry import Sessions
from openmic.sessions.session import Session
from openmic.sessions.types import AudioFormat, SpeechOptions
from openmic.settings import Settings

HELD_FACTOR = 1.3  # of the time after which a dead process's sessions may be taken over: so long a resume waits for one
HELD_LOOK_SECONDS = 0.1  # how often it looks meanwhile


class SessionOpener:
    """Opens the sessions of one connection, one after the other.

    Args:
        sessions: where they are opened.
        settings: how long to wait for another process.
        access: the client's.
        resumes: its client may come back after its connection broke.

    Attributes:
        resumed: a session of this connection was begun on another one.
    """

    def __init__(self, sessions: Sessions, settings: Settings, access: ClientAccess, *, resumes: bool) -> None:
        self._sessions = sessions
        self._settings = settings
        self._access = access
        self._resumes = resumes
        self._unattached: asyncio.Task[Session] | None = None  # what is opened, until it has its client
        self.resumed = False

    async def open(
        self, audio_format: AudioFormat, options: SpeechOptions, *, words: bool, endpoint_silence_seconds: float | None
    ) -> Session:
        """A new session; see ``Sessions.create`` and ``Gate.count_start``."""
        token = self._access.count_start()
        create = asyncio.to_thread(
            self._sessions.create,
            audio_format,
            options,
            words=words,
            token_id=token.id,
            endpoint_silence_seconds=endpoint_silence_seconds,
            resumes=self._resumes,
        )
        self._unattached = asyncio.create_task(create)
        return await asyncio.shield(self._unattached)

    async def resume(self, session_id: str, resume_token: str) -> Session:
        """A session that was begun before; see ``Sessions.resume`` and ``TokenStore.check_not_revoked``.

        Waits while another process still holds it, for as long as that takes where it has just died.
        """
        self.resumed = True
        loop = asyncio.get_running_loop()
        wait_until = loop.time() + self._settings.lease_seconds * HELD_FACTOR
        while True:
            try:
                session = await asyncio.to_thread(self._sessions.resume, session_id, resume_token)
                break
            except SessionHeld:
                if loop.time() >= wait_until:
                    raise
                await asyncio.sleep(HELD_LOOK_SECONDS)
        self._access.check_not_revoked(session.token_id)
        return session

    def attached(self) -> None:
        """The session has its client."""
        self._unattached = None

    async def finish_unattached(self) -> None:
        """Finish a session whose client went while it was opened: nobody knows its name."""
        if self._unattached is not None:
            with contextlib.suppress(OpenmicError):  # it was refused
                await asyncio.to_thread(stop, await self._unattached)


def stop(session: Session) -> None:
    """Finish a session to which nobody can come back; one that has been stopped is left as it is."""
    with contextlib.suppress(OpenmicError):
        session.stop()

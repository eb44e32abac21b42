"""All sessions of one server: who may begin, who may come back, and when files go.

One keeper thread finishes sessions whose client stayed away and deletes those that were kept long enough.
"""

from __future__ import annotations

import contextlib
import hmac
import logging
import secrets
import shutil
import threading
import time
from dataclasses import replace

from openmic.audio.decoder import AudioFormat
from openmic.errors import OpenmicError
from openmic.sessions.events import Reason
from openmic.sessions.problems import PROBLEMS, ServerFull
from openmic.sessions.session import Session
from openmic.sessions.snapshot import SessionSnapshot
from openmic.sessions.state import Identity, Limits, State
from openmic.settings import Settings
from openmic.speech.types import Engine, SpeechOptions

logger = logging.getLogger(__name__)

KEEPER_SECONDS = 0.25  # how often the keeper looks round
AWAY_SECONDS = 2.0  # a client that is away for less may be just reconnecting: its session gives way to no other
RETRY_SECONDS = 10.0  # what a client that finds no room is told to wait
JOIN_SECONDS = 2.0  # how long close() waits for threads that have nothing left to do
BYTES_PER_SECOND = 384_000  # the most that audio needs in a journal: 48 kHz, stereo, float32
SPARE_BYTES = 1_048_576  # for headers and pictures in a container
ID_DIGITS = 32
NO_TOKEN = secrets.token_urlsafe(24)  # compared with where there is no session, so that both take the same time


class Sessions:
    """The sessions over one engine; all methods may be called from any thread.

    Parameters:
        settings: limits and where recordings are kept.
        engine: what turns their audio into words. It is not closed here.
    """

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self.settings = settings
        self.engine = engine
        self.opened_total = 0
        self._sessions: dict[str, Session] = {}
        self._gone_bytes = 0
        self._gone_seconds = 0.0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._delete_leftovers()
        self._keeper = threading.Thread(target=self._keep, name="openmic-keeper", daemon=True)
        self._keeper.start()

    def create(self, audio_format: AudioFormat, options: SpeechOptions, *, words: bool = False) -> Session:
        """Begin a session; a language that is not named is the settings' one. ``words``: its client wants word times.

        Raises:
            OpenmicError: ``server_full`` (as ``ServerFull``), ``server_stopping``, ``disk_full``, or what the engine
                refuses (``unknown_language``).
        """
        options = replace(options, language=options.language or self.settings.language)
        with self._lock:
            if self._closing.is_set():
                raise PROBLEMS.error("server_stopping")
            self._make_room()
            session_id = secrets.token_hex(ID_DIGITS // 2)
            identity = Identity(session_id, secrets.token_urlsafe(24), self.settings.data_dir / session_id)
            session = Session(identity, self._limits(audio_format), self.engine, audio_format, options, words=words)
            self._sessions[session_id] = session
            self.opened_total += 1
        return session

    def get(self, session_id: str) -> Session:
        """The session of that name.

        Raises:
            OpenmicError: ``unknown_session``.
        """
        session = self._sessions.get(session_id)
        if session is None:
            raise PROBLEMS.error("unknown_session")
        return session

    def resume(self, session_id: str, resume_token: str) -> Session:
        """The session of that name, for whoever knows its resume token.

        Raises:
            OpenmicError: ``unknown_session``: no such session, or a wrong token.
        """
        session = self._sessions.get(session_id)
        expected = session.resume_token if session is not None else NO_TOKEN
        if not hmac.compare_digest(expected.encode(), resume_token.encode(errors="replace")) or session is None:
            raise PROBLEMS.error("unknown_session")
        return session

    def list(self) -> list[SessionSnapshot]:
        """All sessions that are open or kept, the oldest first."""
        with self._lock:
            sessions = [*self._sessions.values()]
        return [session.snapshot() for session in sessions]

    def received_bytes_total(self) -> int:
        """Bytes received by all sessions since the start."""
        with self._lock:
            return self._gone_bytes + sum(session.received_bytes for session in self._sessions.values())

    def backlog_bytes(self) -> int:
        """Bytes of all sessions that wait to be decoded."""
        with self._lock:
            return sum(one.backlog_bytes for one in self._sessions.values() if one.state is not State.ENDED)

    def audio_seconds_total(self) -> float:
        """Seconds of audio heard by all sessions since the start."""
        with self._lock:
            return self._gone_seconds + sum(session.recording.seconds for session in self._sessions.values())

    def close(self) -> None:
        """Finish all sessions and wait for their finals, up to ``settings.stop_seconds``; safe to call again.

        Sessions whose final came are deleted; those that did not get theirs in time fail with ``server_stopping`` and
        leave their files on disk.
        """
        with self._lock:
            self._closing.set()
            sessions = list(self._sessions.values())
            self._sessions.clear()
        for session in sessions:
            self._stop(session, "shutdown")
        deadline = time.monotonic() + self.settings.stop_seconds
        for session in sessions:
            if session.ended.wait(max(0.0, deadline - time.monotonic())):
                session.join(JOIN_SECONDS)
                session.delete()
            else:
                session.abandon(PROBLEMS.error("server_stopping"))
                session.join(JOIN_SECONDS)
                session.release()
        self._keeper.join(JOIN_SECONDS)

    def _make_room(self) -> None:
        """Let one more session begin: at worst the one whose client is away longest is finished for it.

        Sessions that only wait for their final, with nobody attached, take no room until there are as many of them.
        """
        most = self.settings.max_sessions
        sessions = [session for session in self._sessions.values() if session.state is not State.ENDED]
        away_since = time.monotonic() - AWAY_SECONDS
        away = [session for session in sessions if (session.detached_at or away_since) < away_since]
        leaving = [session for session in away if session.state is State.FINISHING]
        if len(sessions) - len(leaving) >= most:
            waiting = [session for session in away if session.state is State.RECEIVING]
            if not waiting or len(leaving) >= most:
                raise ServerFull(len(sessions) - len(leaving), most, RETRY_SECONDS)
            self._stop(min(waiting, key=lambda session: session.detached_at or 0.0), "timeout")

    # --- the keeper's rounds

    def _keep(self) -> None:
        while not self._closing.wait(KEEPER_SECONDS):
            now = time.monotonic()
            with self._lock:
                sessions = list(self._sessions.values())
            for session in sessions:
                detached_at, ended_at = session.detached_at, session.ended_at
                if ended_at is not None:
                    if now - ended_at >= self.settings.keep_seconds:
                        self._forget(session)
                elif detached_at is not None and now - detached_at >= self.settings.resume_seconds:
                    self._stop(session, "timeout")

    def _forget(self, session: Session) -> None:
        with self._lock:
            if self._sessions.pop(session.id, None) is None:
                return
            self._gone_bytes += session.received_bytes
            self._gone_seconds += session.recording.seconds
        session.join(JOIN_SECONDS)
        session.delete()
        logger.info("session %s: deleted", session.id)

    def _stop(self, session: Session, reason: Reason) -> None:
        if session.state is State.RECEIVING:
            with contextlib.suppress(OpenmicError):  # it was stopped in between
                session.stop(reason)

    def _limits(self, audio_format: AudioFormat) -> Limits:
        seconds = self.settings.max_seconds
        return Limits(seconds, int(seconds * BYTES_PER_SECOND) + SPARE_BYTES, self.settings.endpoint_silence_seconds)

    def _delete_leftovers(self) -> None:
        """Delete what a server that died left behind, once nobody can be writing to it any more."""
        unused = self.settings.keep_seconds + self.settings.idle_seconds + self.settings.resume_seconds
        before = time.time() - unused
        for folder in self.settings.data_dir.glob("[0-9a-f]" * ID_DIGITS):
            try:
                newest = max(entry.stat().st_mtime for entry in (folder, *folder.iterdir()))
            except OSError:  # deleted by another server at this moment
                continue
            if newest < before:
                shutil.rmtree(folder, ignore_errors=True)

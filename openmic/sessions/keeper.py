"""One thread that ends sessions whose client stayed away, deletes them in time, and takes up other servers'."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from openmic.errors import OpenmicError
from openmic.memory import release_freed_memory
from openmic.sessions.overload import OverloadWarnings
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.threads import SupervisedThread

if TYPE_CHECKING:
    from openmic.sessions.registry import Sessions

KEEPER_SECONDS = 0.25  # how often the keeper looks round
TRIM_SECONDS = 5.0  # so long after a session's end freed memory is given back: the engine has let go of its buffers
NOTHING_KEPT_SECONDS = 5.0  # how long a session is kept that heard nothing: its client may not know yet
OPEN_FACTOR = 2.0  # how long a session may be open, in the longest audio that it may have
LOOK_SECONDS = 10.0  # how often the folder is searched for what other servers left there


class Keeper:
    """Looks for sessions in the folder once before its constructor returns; the rest is done in its thread.

    Args:
        sessions: what it keeps.
        closing: set when it is to end.
    """

    def __init__(self, sessions: Sessions, closing: threading.Event) -> None:
        self._sessions = sessions
        self._settings = sessions.settings
        self._closing = closing
        self._thread = SupervisedThread("openmic-keeper", self._run)
        with self._thread.turn("looking for sessions"):
            sessions.look()
        self._thread.start()

    @property
    def problems(self) -> tuple[str, ...]:
        """See ``SupervisedThread.problems``."""
        return self._thread.problems

    def join(self, seconds: float) -> None:
        """Wait until it has ended, at most so long."""
        self._thread.join(seconds)

    def _run(self) -> None:
        known, overload = self._sessions.known, OverloadWarnings()
        looked_at = time.monotonic()
        over, trim_at = 0, math.inf
        while not self._closing.wait(KEEPER_SECONDS):
            now = time.monotonic()
            if now - looked_at >= LOOK_SECONDS:
                looked_at = now
                with self._thread.turn("looking for sessions"):
                    self._sessions.look()
            with known.lock:
                sessions = known.all()
                over_now = known.opened_total - sum(session.ended_at is None for session in sessions)
            with self._thread.turn("keeping time"):
                self._keep_time(sessions, now)
            with self._thread.turn("telling other processes"):
                self._sessions.tell_others()
            with self._thread.turn("telling of overload"):
                overload.tell(sessions, self._sessions.engine.stats())
            with self._thread.turn("keeping room on the disk"):
                self._keep_room(sessions)
            if self._sessions.load.due:
                with self._thread.turn("watching the load"):
                    self._watch_load(sessions)
            if over_now != over:
                over, trim_at = over_now, min(trim_at, now + TRIM_SECONDS)
            if now >= trim_at:
                trim_at = math.inf
                with self._thread.turn("giving memory back"):
                    release_freed_memory()

    def _keep_time(self, sessions: Sequence[Session], now: float) -> None:
        """Forget what has been kept long enough, and end those whose client has been away too long.

        Raises:
            Exception: the first that one of the sessions raised; the others had their turn all the same.
        """
        failure: Exception | None = None
        for session in sessions:
            try:
                session.check_lease()
                detached_at, ended_at = session.detached_at, session.ended_at
                if session.moved:
                    self._sessions.known.drop(session)
                elif ended_at is not None:
                    keep_seconds = self._settings.keep_seconds
                    if len(session.recording) == 0:
                        keep_seconds = min(keep_seconds, NOTHING_KEPT_SECONDS)
                    if now - ended_at >= keep_seconds:
                        self._sessions.known.delete(session)
                elif detached_at is None:
                    self._end_idle(session, now)
                else:
                    session.activity.rest(now)
                    if now - detached_at >= self._settings.resume_seconds:
                        session.stop_once("timeout")
            except Exception as error:
                failure = failure or error
        if failure is not None:
            raise failure

    def _end_idle(self, session: Session, now: float) -> None:
        """End a session that has its place for nothing, or has it for longer than all its audio can take."""
        if session.state is not State.RECEIVING:
            return
        settings, activity = self._settings, session.activity
        if activity.is_idle(session.recording.seconds, session.received_bytes, now, settings.idle_seconds):
            if session.backlog_bytes == 0:  # else the decoder is what is late
                session.stop_once("timeout", PROBLEMS.error("idle_too_long", idle_seconds=settings.idle_seconds))
        elif now - activity.began_at >= settings.max_seconds * OPEN_FACTOR + settings.idle_seconds:
            seconds = now - activity.began_at
            session.reach_limit(PROBLEMS.error("open_too_long", seconds=seconds, max_seconds=settings.max_seconds))

    def _keep_room(self, sessions: Sequence[Session]) -> None:
        """Finish all streams before the disk is full: what they have is then still written and transcribed."""
        receiving = [session for session in sessions if session.state is State.RECEIVING]
        if not receiving:
            return
        try:
            self._sessions.space.check_reserve()
        except OpenmicError as error:
            for session in receiving:
                session.stop_once("stopped", error)

    def _watch_load(self, sessions: Sequence[Session]) -> None:
        stats = self._sessions.engine.stats()
        delays = [session.delay_seconds for session in sessions if session.state is State.RECEIVING]
        self._sessions.load.add(delays, self._sessions.places, stats.busy, stats.memory_bytes)

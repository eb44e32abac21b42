"""Tells clients what an overloaded engine cannot do in time for them, once while it lasts, and when it is over."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from openmic.log import log_event
from openmic.sessions.problems import PROBLEMS
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.speech.types import EngineStats

logger = logging.getLogger(__name__)


def overloaded(stats: EngineStats) -> bool:
    """Whether the engine cannot carry its present streams: no more should be admitted."""
    return stats.late or stats.finals_held


class OverloadWarnings:
    """Warnings sent so far: of late live text to speakers, of late finals to clients that wait for one."""

    def __init__(self) -> None:
        self._late: set[str] = set()
        self._finals: set[str] = set()
        self._overloaded = False

    def tell(self, sessions: Sequence[Session], stats: EngineStats) -> None:
        """Warn sessions that have not been warned yet; call it often."""
        if overloaded(stats) != self._overloaded:
            self._overloaded = not self._overloaded
            late, held, slowness = stats.late, stats.finals_held, round(stats.slowness, 2)
            if self._overloaded:
                log_event(logger, "engine_overloaded", late=late, finals_held=held, slowness=slowness)
            else:
                log_event(logger, "engine_recovered", late=late, finals_held=held, slowness=slowness)
        speaking = [session for session in sessions if session.state is State.RECEIVING]
        if stats.late:
            self._late |= _tell(speaking, "live_text_late", self._late)
        elif self._late:
            _tell((session for session in speaking if session.id in self._late), "live_text_on_time")
            self._late = set()
        if stats.finals_held:
            waiting = [session for session in sessions if session.state is State.FINISHING]
            self._finals |= _tell(waiting, "final_text_late", self._finals)
        else:
            self._finals = set()


def _tell(sessions: Iterable[Session], code: str, told: Iterable[str] = ()) -> set[str]:
    """Warn the sessions that have not been warned; returns their ids."""
    news = [session for session in sessions if session.id not in told]
    for session in news:
        session.warn(PROBLEMS.error(code))
    return {session.id for session in news}

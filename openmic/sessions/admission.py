"""Admission: as many speakers as the device was measured to carry, and none while it cannot carry those inside.

Refusing one speaker is better than delaying all. A session takes a place until its final has come. One whose
client has gone and that only waits for its final takes none, unless much of that work is left.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from statistics import median

from openmic.sessions.overload import overloaded
from openmic.sessions.problems import ServerFull
from openmic.sessions.session import Session
from openmic.sessions.state import State
from openmic.settings import Settings
from openmic.speech.types import Engine, EngineStats

AWAY_SECONDS = 2.0  # a client that is away for less may be just reconnecting: its session gives way to no other
UNMEASURED_PLACES = 8  # where neither the settings nor the engine say how many
MUCH_FINAL_SECONDS = 30.0  # work on finals above this counts, even where nobody waits for them
LATE_RETRY_SECONDS = 5.0  # an overloaded engine is so for moments, or for as long as everybody speaks
USUAL_SECONDS = 60.0  # how long somebody speaks, until some have been heard
LEAST_RETRY_SECONDS, MOST_RETRY_SECONDS = 2.0, 60.0


def places(settings: Settings, engine: Engine) -> int:
    """How many sessions may be open at once."""
    return settings.max_sessions or engine.capacity or UNMEASURED_PLACES


def make_room(sessions: Collection[Session], settings: Settings, engine: Engine) -> Session | None:
    """Decide whether one more may begin; the caller stops the session that is returned.

    Args:
        sessions: all that are open or kept.
        settings: how many there may be.
        engine: how it does now.

    Returns:
        None: there is room. Or the session that gives way: of those whose client is away, the one that is away longest.

    Raises:
        ServerFull: there is none.
    """
    most = places(settings, engine)
    stats = engine.stats()
    taken, away = _taken(sessions, stats)
    leaving = [session for session in away if session.state is State.FINISHING]
    if overloaded(stats):
        raise ServerFull(taken, most, retry_after(sessions, settings, stats))
    if taken < most:
        return None
    waiting = [session for session in away if session.state is State.RECEIVING]
    if not waiting or len(leaving) >= most:
        raise ServerFull(taken, most, retry_after(sessions, settings, stats))
    return min(waiting, key=lambda session: session.detached_at or 0.0)


def free_places(sessions: Collection[Session], settings: Settings, engine: Engine) -> int:
    """How many more sessions may begin now without that another gives way; 0: none."""
    stats = engine.stats()
    return 0 if overloaded(stats) else max(0, places(settings, engine) - _taken(sessions, stats)[0])


def _taken(sessions: Collection[Session], stats: EngineStats) -> tuple[int, list[Session]]:
    """How many places are taken, and the sessions whose client is away."""
    present = [session for session in sessions if session.state is not State.ENDED]
    away_since = time.monotonic() - AWAY_SECONDS
    away = [session for session in present if (session.detached_at or away_since) < away_since]
    if stats.finals_seconds > MUCH_FINAL_SECONDS:
        return len(present), away
    return len(present) - sum(session.state is State.FINISHING for session in away), away


def retry_after(sessions: Collection[Session], settings: Settings, stats: EngineStats) -> float:
    """Seconds until another try makes sense: until a place is likely to be free.

    That is when the next final comes (its work, and the live steps between), when somebody reaches the longest
    duration, or when one of those who speak stops: people who come and go at random, speaking for ``s`` seconds each,
    leave ``n`` places ``s / n`` apart.
    """
    if overloaded(stats):
        return LATE_RETRY_SECONDS
    speaking = [session.recording.seconds for session in sessions if session.state is State.RECEIVING]
    ended = [session.recording.seconds for session in sessions if session.state is State.ENDED]
    usual = median(ended) if ended else USUAL_SECONDS
    guesses = [settings.max_seconds - seconds for seconds in speaking]
    guesses += [usual / len(speaking)] if speaking else []
    guesses += [2.0 * stats.next_final_seconds] if stats.next_final_seconds is not None else []
    return min(MOST_RETRY_SECONDS, max(LEAST_RETRY_SECONDS, min(guesses, default=LEAST_RETRY_SECONDS)))

"""What all replicas do, as the dashboard of one service shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from openmic.notebook.status import Moment, SessionStatus, Status

MOST_SESSIONS = 50  # of a replica that are told of, the newest
MOST_CHARACTERS = 400  # of each text, its end: a report is written each second


def to_report(status: Status) -> dict[str, Any]:
    """A replica's status as its report carries it: without what only the whole cluster has."""
    sessions = tuple(_shortened(session) for session in status.sessions[:MOST_SESSIONS])
    return asdict(replace(status, link="", sessions=sessions, history=status.history[-1:]))


def from_report(report: dict[str, Any]) -> Status:
    """The other way round.

    Raises:
        TypeError: it is of another version.
    """
    sessions = tuple(SessionStatus(**session) for session in report["sessions"])
    history = tuple(Moment(**moment) for moment in report["history"])
    return Status(**{**report, "sessions": sessions, "problems": tuple(report["problems"]), "history": history})


def together(statuses: Sequence[tuple[str, Status]], **more: Any) -> Status:
    """All replicas as one service.

    Args:
        statuses: each with its replica's name.
        more: what the cluster itself knows: ``state``, ``link``, ``tunnel``, ``speakers``.
    """
    each = [status for _, status in statuses]
    sessions: dict[str, SessionStatus] = {}
    for status in each:
        for session in status.sessions:  # what has ended is in the hands of all, what runs in one's
            if session.session_id not in sessions or sessions[session.session_id].state == "ended":
                sessions[session.session_id] = session
    memory = [status.memory_bytes for status in each if status.memory_bytes is not None]
    return Status(
        model=", ".join(sorted({status.model for status in each})) or "?",
        device=", ".join(sorted({status.device for status in each})) or "?",
        busy=sum(status.busy for status in each) / max(1, len(each)),
        memory_bytes=sum(memory) if memory else None,
        sessions=tuple(sessions.values()),
        places=sum(status.places for status in each),
        late=any(status.late for status in each),
        finals_held=any(status.finals_held for status in each),
        slowness=max((status.slowness for status in each), default=1.0),
        problems=tuple(f"{name}: {problem}" for name, status in statuses for problem in status.problems),
        finals_waiting=sum(status.finals_waiting for status in each),
        finals_seconds=sum(status.finals_seconds for status in each),
        earlier=max((status.earlier for status in each), default=0),
        history=_now(each),
        **more,
    )


def _now(each: Sequence[Status]) -> tuple[Moment, ...]:
    """One moment of all together; live text is as late as it is on the replica where it is latest."""
    moments = [status.history[-1] for status in each if status.history]
    if not moments:
        return ()
    memory = [moment.memory_bytes for moment in moments if moment.memory_bytes is not None]
    return (
        Moment(
            seconds_ago=0.0,
            speakers=sum(moment.speakers for moment in moments),
            places=sum(moment.places for moment in moments),
            busy=sum(moment.busy for moment in moments) / len(moments),
            memory_bytes=sum(memory) if memory else None,
            delay_p50_seconds=max(
                (one.delay_p50_seconds for one in moments if one.delay_p50_seconds is not None), default=None
            ),
            delay_p90_seconds=max(
                (one.delay_p90_seconds for one in moments if one.delay_p90_seconds is not None), default=None
            ),
        ),
    )


def _shortened(session: SessionStatus) -> SessionStatus:
    final = session.final_text
    return replace(
        session,
        committed_text=session.committed_text[-MOST_CHARACTERS:],
        live_text=session.live_text[-MOST_CHARACTERS:],
        final_text=final[-MOST_CHARACTERS:] if final is not None else None,
    )

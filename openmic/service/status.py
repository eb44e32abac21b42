"""A service's status, put together from its parts."""

from __future__ import annotations

import time
from collections.abc import Sequence

from openmic.notebook.capacity import CapacityPicture, ModelSpeakers
from openmic.notebook.status import Moment, SessionStatus, Status
from openmic.server.thread import ServerThread
from openmic.sessions import load
from openmic.sessions.registry import Sessions
from openmic.sessions.snapshot import SessionSnapshot
from openmic.speech.types import Engine, ModelInfo
from openmic.tunnels import ReopeningTunnel


def read_status(
    state: str,
    link: str,
    speakers: str,
    started_at: float,
    engine: Engine | None,
    sessions: Sessions | None,
    server: ServerThread | None,
    tunnel: ReopeningTunnel | None,
    *,
    everywhere: bool = True,
) -> Status:
    """The status now.

    Args:
        state: as the status has it.
        link: with the token; shown while it runs alone.
        speakers: how many it carries, in words.
        started_at: seconds since 1970; sessions from before are an earlier service's.
        engine: loaded; None: not yet.
        sessions: those over the engine.
        server: the web server.
        tunnel: the public link's; None: there is none.
        everywhere: tell of the sessions that other processes have, too, where they share the folder.
    """
    running = state == "running"
    stats = engine.stats() if engine is not None and running else None
    snapshots: list[SessionSnapshot] = []
    if sessions is not None:
        snapshots = sessions.list_everywhere() if everywhere else sessions.list()
    ours = [one for one in snapshots if one.created >= started_at or one.holder is not None]
    return Status(
        state=state,
        link=link if running else "",
        tunnel=_tunnel_line(tunnel),
        model=engine.info.name if engine is not None else "?",
        device=device_called(engine.info) if engine is not None else "?",
        busy=stats.busy if stats else 0.0,
        memory_bytes=stats.memory_bytes if stats else None,
        sessions=tuple(_session(one) for one in reversed(ours)),
        speakers=speakers,
        places=sessions.places if sessions is not None else 0,
        late=stats.late if stats else False,
        finals_held=stats.finals_held if stats else False,
        slowness=stats.slowness if stats else 1.0,
        problems=server.problems if server is not None and running else (),
        finals_waiting=stats.finals_waiting if stats else 0,
        finals_seconds=stats.finals_seconds if stats else 0.0,
        earlier=len(snapshots) - len(ours),
        history=_history(sessions.load.moments, time.monotonic()) if sessions is not None else (),
    )


def capacity_picture(engine: Engine | None, limit: int) -> CapacityPicture:
    """What the engine's device carries with each model; ``limit``: how many the owner lets in, 0 for as measured."""
    if engine is None:
        return CapacityPicture("?", ())
    models = [ModelSpeakers(one.model, one.speakers, one.measured, one.fits) for one in engine.capacities()]
    return CapacityPicture(device_called(engine.info), models, limit)


def device_called(info: ModelInfo) -> str:
    """A device as people call it: ``cpu``, or the GPU's name."""
    return info.device if info.device == "cpu" else info.device_name


def _tunnel_line(tunnel: ReopeningTunnel | None) -> str:
    if tunnel is None:
        return ""
    if tunnel.alive():
        return tunnel.name
    return f"{tunnel.name} has stopped: the public link is being opened again. {tunnel.problem}".strip()


def _history(moments: Sequence[load.Moment], now: float) -> tuple[Moment, ...]:
    return tuple(
        Moment(
            now - one.at,
            one.speakers,
            one.places,
            one.busy,
            one.memory_bytes,
            one.delay_p50_seconds,
            one.delay_p90_seconds,
        )
        for one in moments
    )


def _session(one: SessionSnapshot) -> SessionStatus:
    return SessionStatus(
        session_id=one.id,
        state=one.state.value,
        attached=one.attached,
        audio_seconds=one.audio_seconds,
        lag_seconds=one.lag,
        committed_text=one.committed_text,
        live_text=one.live_text,
        final_text=one.final.text if one.final is not None else None,
        problem=one.error.what if one.error is not None else "",
        holder=one.holder or "",
        holder_silent=one.holder_silent,
    )

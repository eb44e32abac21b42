"""Sessions over plain HTTP: health, metrics, lists, transcripts and downloads.

The list and the metrics are the owner's; a session is open to the owner and to a client that has its resume token.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from openmic.server.access.dependencies import require_owner, require_reader, require_token, sessions_of
from openmic.server.api.downloads import session_file
from openmic.server.dialects.native.messages import SessionList
from openmic.server.metrics import Metrics
from openmic.server.problems import PROBLEMS
from openmic.sessions.registry import Sessions
from openmic.sessions.schemas import SessionJson, to_listed

AllSessions = Annotated[Sessions, Depends(sessions_of)]
open_router = APIRouter()
owner_router = APIRouter(dependencies=[Depends(require_owner)])
reader_router = APIRouter(dependencies=[Depends(require_reader)])
router = APIRouter(dependencies=[Depends(require_token)])


@open_router.get("/healthz")
def health(request: Request) -> dict[str, str | float]:
    """Whether the server answers and keeps its promises, and how long it keeps what people say; needs no token."""
    well = not any(problems() for problems in request.app.state.watched)
    return {"status": "ok" if well else "degraded", "keep_seconds": request.app.state.settings.keep_seconds}


@owner_router.get("/metrics")
def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    collected: Metrics = request.app.state.metrics
    return Response(collected.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@owner_router.get("/v1/sessions")
def list_sessions(sessions: AllSessions, response: Response) -> SessionList:
    """All sessions that are open or kept, whichever process that shares the folder has them."""
    response.headers["Cache-Control"] = "no-store"
    return SessionList(sessions=[to_listed(snapshot) for snapshot in sessions.list_everywhere()])


@reader_router.get("/v1/sessions/{name}", response_model=SessionJson)
def get_session(request: Request, name: str, sessions: AllSessions) -> Response:
    """A session's transcript as it is now, or its recording, in the form that the name's ending asks for.

    Raises:
        OpenmicError: ``unknown_session``, ``session_deleted``, ``not_found``.
    """
    session_id, _, ending = name.partition(".")
    return session_file(sessions.get(session_id), ending, request.app.state.downloads)


@reader_router.delete("/v1/sessions/{name}", status_code=204)
def delete_session(name: str, sessions: AllSessions) -> Response:
    """Delete a session that has ended, with all that was said in it, before its time.

    Raises:
        OpenmicError: ``unknown_session``, ``session_deleted``, ``session_not_over``.
    """
    sessions.delete(name)
    return Response(status_code=204)


@router.get("/v1/{path:path}", include_in_schema=False)
def nothing_here(path: str) -> Response:
    """Every other path below /v1.

    Raises:
        OpenmicError: ``not_found``.
    """
    raise PROBLEMS.error("not_found")

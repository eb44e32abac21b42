"""Sessions over plain HTTP: health, metrics, lists, transcripts and downloads.

The list and the metrics are the owner's; a session is the owner's and that of whoever knows its resume token.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from openmic.errors import OpenmicError
from openmic.server.auth import bearer_token
from openmic.server.downloads import session_file
from openmic.server.entry import Entry
from openmic.server.keys import Key
from openmic.server.messages import SessionJson, SessionList
from openmic.server.metrics import Metrics
from openmic.server.problems import PROBLEMS, TooManyWrongTokens
from openmic.server.wire import to_summary
from openmic.sessions.problems import PROBLEMS as SESSION_PROBLEMS
from openmic.sessions.problems import ServerFull
from openmic.sessions.registry import Sessions

STATUS = {
    "token_missing": 401,
    "token_wrong": 401,
    "token_expired": 401,
    "token_revoked": 401,
    "owner_only": 403,
    "origin_not_allowed": 403,
    "too_many_wrong_tokens": 429,
    "unknown_session": 404,
    "session_deleted": 404,
    "not_found": 404,
    "wrong_method": 405,
    "idle_too_long": 408,
    "upload_too_large": 413,
    "audio_empty": 400,
    "engine_failed": 500,
    "session_failed": 500,
    "server_full": 503,
    "server_stopping": 503,
    "engine_closed": 503,
    "disk_full": 507,
}
"""Problems by HTTP status; every other one is the request's fault (400)."""


def require_token(request: Request) -> Key:
    """Let pass only requests with a token of this server, from a page that may use it.

    Raises:
        OpenmicError: see ``Entry.check`` and ``Entry.check_origin``; ``token_expired``.
    """
    entry: Entry = request.app.state.entry
    entry.check_origin(request)
    key = entry.check(bearer_token(request), request)
    key.check_alive()
    return key


def require_owner(request: Request) -> None:
    """Let pass only the owner.

    Raises:
        OpenmicError: ``owner_only``, or as ``require_token``.
    """
    if require_token(request).use != "owner":
        raise PROBLEMS.error("owner_only")


def require_reader(request: Request, name: str) -> None:
    """Let pass the owner, and whoever shows the resume token of the session ``name`` in place of a server's token.

    Raises:
        OpenmicError: ``session_deleted``, or as ``require_owner``.
    """
    request.app.state.entry.check_origin(request)
    sessions: Sessions = request.app.state.sessions
    session_id = name.partition(".")[0]
    try:
        sessions.resume(session_id, bearer_token(request) or "")
    except OpenmicError:
        if sessions.was_deleted(session_id):  # whatever is shown: nobody can tell tokens apart by it
            raise SESSION_PROBLEMS.error("session_deleted") from None
        require_owner(request)


def sessions_of(request: Request) -> Sessions:
    """The app's sessions."""
    sessions: Sessions = request.app.state.sessions
    return sessions


AllSessions = Annotated[Sessions, Depends(sessions_of)]
open_router = APIRouter()
owner_router = APIRouter(dependencies=[Depends(require_owner)])
reader_router = APIRouter(dependencies=[Depends(require_reader)])
router = APIRouter(dependencies=[Depends(require_token)])


def error_response(error: OpenmicError) -> JSONResponse:
    """A problem as JSON; the first four fields are those of OpenAI's errors."""
    status = STATUS.get(error.code, 400)
    headers = {"Cache-Control": "no-store"}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if isinstance(error, ServerFull | TooManyWrongTokens):
        headers["Retry-After"] = str(round(error.retry_after))
    body = {
        "message": f"{error.message} {error.hint}",
        "type": "invalid_request_error" if status < 500 else "server_error",
        "param": None,
        "code": error.code,
        "hint": error.hint,
    }
    return JSONResponse({"error": body}, status, headers)


@open_router.get("/healthz")
def health(request: Request) -> dict[str, str | float]:
    """Whether the server answers and keeps its promises, and how long it keeps what people say; needs no token."""
    status = "degraded" if request.app.state.sessions.problems else "ok"
    return {"status": status, "keep_seconds": request.app.state.settings.keep_seconds}


@owner_router.get("/metrics")
def metrics(request: Request) -> Response:
    """Prometheus' text format."""
    collected: Metrics = request.app.state.metrics
    return Response(collected.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


@owner_router.get("/v1/sessions")
def list_sessions(sessions: AllSessions, response: Response) -> SessionList:
    """All sessions that are open or kept."""
    response.headers["Cache-Control"] = "no-store"
    return SessionList(sessions=[to_summary(snapshot) for snapshot in sessions.list()])


@reader_router.get("/v1/sessions/{name}", response_model=SessionJson)
def get_session(name: str, sessions: AllSessions) -> Response:
    """A session's transcript as it is now, or its recording, in the form that the name's ending asks for.

    Raises:
        OpenmicError: ``unknown_session``, ``session_deleted``, ``not_found``.
    """
    session_id, _, ending = name.partition(".")
    return session_file(sessions.get(session_id), ending)


@router.get("/v1/{path:path}", include_in_schema=False)
def nothing_here(path: str) -> Response:
    """Every other path below /v1.

    Raises:
        OpenmicError: ``not_found``.
    """
    raise PROBLEMS.error("not_found")

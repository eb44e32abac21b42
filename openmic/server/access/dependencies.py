"""What a route asks for: a token, the owner's, a session's reader; for FastAPI's ``Depends``."""

from __future__ import annotations

from fastapi import Request

from openmic.errors import OpenmicError
from openmic.server.access.credentials import bearer_token
from openmic.server.access.gate import Gate
from openmic.server.access.tokens import AccessToken
from openmic.server.problems import PROBLEMS
from openmic.sessions.problems import PROBLEMS as SESSION_PROBLEMS
from openmic.sessions.registry import Sessions


def require_token(request: Request) -> AccessToken:
    """Let pass only requests with a token of this server, from a page that may use it; leaves it in ``state.token``.

    Raises:
        OpenmicError: see ``Gate.check`` and ``Gate.check_origin``; ``token_expired``.
    """
    token = request.state.token = _require(request, counted=True)
    return token


def _require(request: Request, *, counted: bool) -> AccessToken:
    gate: Gate = request.app.state.entry
    gate.check_origin(request)
    token = gate.check(bearer_token(request), request, counted=counted)
    token.check_alive()
    return token


def require_owner(request: Request) -> None:
    """Let pass only the owner.

    Raises:
        OpenmicError: ``owner_only``, or as ``require_token``.
    """
    if require_token(request).use != "owner":
        raise PROBLEMS.error("owner_only")


def require_reader(request: Request, name: str) -> None:
    """Admit the owner, and a client that shows the session's own resume token in place of a server's token.

    Raises:
        OpenmicError: ``session_deleted``, ``token_revoked``: the one that began the session; or as ``require_owner``.
    """
    gate: Gate = request.app.state.entry
    gate.check_origin(request)
    sessions: Sessions = request.app.state.sessions
    session_id = name.partition(".")[0]
    try:
        session = sessions.look_up(session_id, bearer_token(request) or "")
    except OpenmicError:
        if sessions.known.was_deleted(session_id):  # whatever is shown: nobody can tell tokens apart by it
            raise SESSION_PROBLEMS.error("session_deleted") from None
        if _require(request, counted=False).use != "owner":
            raise PROBLEMS.error("owner_only") from None
        return
    gate.tokens.check_not_revoked(session.token_id)


def sessions_of(request: Request) -> Sessions:
    """The app's sessions."""
    sessions: Sessions = request.app.state.sessions
    return sessions

"""The web application: which address leads where, and how it winds down."""

from __future__ import annotations

import asyncio
import logging
from typing import cast

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.server.access.connections import Connections
from openmic.server.access.gate import Gate
from openmic.server.access.tokens import TokenStore
from openmic.server.api import page as page_files
from openmic.server.api import sessions as http
from openmic.server.dialects.native.dialect import NativeConnection
from openmic.server.dialects.openai import routes as uploads
from openmic.server.metrics import Metrics
from openmic.server.problems import PROBLEMS, error_response
from openmic.sessions.registry import Sessions
from openmic.settings import Settings

logger = logging.getLogger(__name__)

LEAVE_SECONDS = 5.0  # how long connections have to send their last messages once all sessions have ended


def create_app(settings: Settings, sessions: Sessions, keys: TokenStore | str) -> FastAPI:
    """Build the app over running sessions.

    Args:
        settings: the limits that clients are told and held to.
        sessions: where streams live; ``drain`` closes them.
        keys: the tokens that open; a text is the owner's only one.

    Returns:
        The app. Each function in its ``state.watched`` gives what is wrong with a part of the service.
    """
    app = FastAPI(title="openmic", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.settings = settings
    app.state.sessions = sessions
    if isinstance(keys, str):
        token, keys = keys, TokenStore()
        keys.make("owner", secret=token)
    entry = app.state.entry = Gate(settings, keys)
    connections = app.state.connections = Connections(settings.max_connections)
    app.state.receiving_uploads = 0
    app.state.watched = [lambda: sessions.problems]
    app.state.metrics = Metrics(sessions, entry, connections)

    @app.websocket("/v1/stream")
    async def stream(websocket: WebSocket) -> None:
        error_code = await NativeConnection(websocket, settings, sessions, entry, connections).serve()
        if error_code is not None:
            app.state.metrics.count_error(error_code)

    @app.exception_handler(OpenmicError)
    async def answer(request: Request, error: Exception) -> Response:
        problem = cast(OpenmicError, error)
        app.state.metrics.count_error(problem.code)
        log_event(logger, "request_refused", code=problem.code, address=entry.address(request))
        return error_response(problem)

    @app.exception_handler(StarletteHTTPException)
    async def tell_http(request: Request, error: Exception) -> Response:
        status = cast(StarletteHTTPException, error).status_code
        return await answer(
            request,
            PROBLEMS.error(
                {404: "not_found", 405: "wrong_method"}.get(status, "bad_request"), detail="It is malformed"
            ),
        )

    app.include_router(http.open_router)
    app.include_router(uploads.router)
    app.include_router(http.owner_router)
    app.include_router(http.reader_router)
    app.include_router(http.router)
    app.include_router(page_files.router)
    return app


async def drain(app: FastAPI) -> None:
    """Finish all sessions, and let their connections send the finals and close; bounded by the settings."""
    await asyncio.to_thread(app.state.sessions.close)
    await app.state.connections.ended(LEAVE_SECONDS)

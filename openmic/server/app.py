"""The web application: which address leads where, and how it winds down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import cast

from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import Response
from starlette.exceptions import HTTPException as StarletteHTTPException

from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.server.access.browser_rules import BrowserRules
from openmic.server.access.connections import Connections
from openmic.server.access.gate import Gate
from openmic.server.access.tokens import TokenStore
from openmic.server.api import page as page_files
from openmic.server.api import sessions as http
from openmic.server.api.downloads import Downloads
from openmic.server.dialects.assemblyai.dialect import AssemblyDialect
from openmic.server.dialects.connection import StreamConnection
from openmic.server.dialects.deepgram import prerecorded
from openmic.server.dialects.deepgram.flux import FluxDialect
from openmic.server.dialects.deepgram.listen import ListenDialect
from openmic.server.dialects.dialect import Dialect, Endpoints
from openmic.server.dialects.native.dialect import NativeDialect
from openmic.server.dialects.openai import models
from openmic.server.dialects.openai import routes as uploads
from openmic.server.dialects.openai_realtime.dialect import RealtimeDialect
from openmic.server.dialects.soniox.dialect import SonioxDialect
from openmic.server.dialects.wyoming.server import WyomingServer
from openmic.server.metrics import Metrics
from openmic.server.middleware import HeadIsGet, RequestNames
from openmic.server.problems import PROBLEMS
from openmic.server.statuses import error_response
from openmic.sessions.problems import PROBLEMS as SESSION_PROBLEMS
from openmic.sessions.registry import Sessions
from openmic.settings import Settings

logger = logging.getLogger(__name__)

NATIVE = Endpoints({"/v1/stream": NativeDialect})
DIALECTS: Mapping[str, Endpoints] = {
    "openai": Endpoints({"/v1/realtime": RealtimeDialect}, (uploads.router, models.router)),
    "deepgram": Endpoints({"/v1/listen": ListenDialect, "/v2/listen": FluxDialect}, (prerecorded.router,)),
    "assemblyai": Endpoints({"/v3/ws": AssemblyDialect}),
    "soniox": Endpoints({"/transcribe-websocket": SonioxDialect}),
    "wyoming": Endpoints(listeners=(WyomingServer,)),
}
"""What other vendors' SDKs speak, by the names that the setting ``dialects`` has; openmic's own is always on."""

LEAVE_SECONDS = 5.0  # how long connections have to send their last messages once all sessions have ended


def create_app(
    settings: Settings,
    sessions: Sessions,
    keys: TokenStore | str,
    dialects: Mapping[str, Endpoints] = DIALECTS,
) -> FastAPI:
    """Build the app over running sessions.

    Args:
        settings: the limits that clients are told and held to.
        sessions: where streams live; ``drain`` closes them.
        keys: the tokens that open; a text is the owner's only one.
        dialects: beside the native one, by name; those that ``settings.dialects`` names are on.

    Returns:
        The app. Each function in its ``state.watched`` gives what is wrong with a part of the service.

    Raises:
        OpenmicError: ``unknown_dialect``.
    """
    # A redirect to a path without its slash would go to whatever the client calls this server, and to http.
    app = FastAPI(title="openmic", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    app.state.settings = settings
    app.state.sessions = sessions
    if isinstance(keys, str):
        token, keys = keys, TokenStore()
        keys.make("owner", secret=token)
    entry = app.state.entry = Gate(settings, keys)
    app.add_middleware(BrowserRules, gate=entry)
    app.add_middleware(RequestNames)
    app.add_middleware(HeadIsGet)  # the outermost: a preflight is no HEAD, and has a name as well
    connections = app.state.connections = Connections(settings.max_connections)
    app.state.receiving_uploads = 0
    app.state.listeners = []
    app.state.downloads = Downloads()
    app.state.watched = [lambda: sessions.problems]
    app.state.metrics = Metrics(sessions, entry, connections)

    @app.exception_handler(OpenmicError)
    async def answer(request: Request, error: Exception) -> Response:
        problem = cast(OpenmicError, error)
        app.state.metrics.count_error(problem.code)
        address = entry.address(request)
        unlogged = entry.refusals.due("request_refused", problem.code, address)
        if unlogged is not None:
            log_event(logger, "request_refused", code=problem.code, address=address, unlogged=unlogged or None)
        return error_response(problem)

    @app.exception_handler(StarletteHTTPException)
    async def handle_http_exception(request: Request, error: Exception) -> Response:
        refused = cast(StarletteHTTPException, error)
        status = refused.status_code
        if status == 405 and request.scope.get("endpoint") in (http.nothing_here, page_files.page_file):
            status = 404  # they stand for all paths that are not known, whatever the method
        code = {404: "not_found", 405: "wrong_method"}.get(status, "bad_request")
        response = await answer(request, PROBLEMS.error(code, detail="It is malformed"))
        if status == 405:
            response.headers.update(refused.headers or {})  # Allow
        return response

    app.include_router(http.open_router)
    for endpoints in (NATIVE, *_named(settings.dialects, dialects)):
        for path, dialect in endpoints.sockets.items():
            _add_dialect(app, path, dialect)
        for router in endpoints.routers:
            app.include_router(router)
        app.state.listeners += [listener(app) for listener in endpoints.listeners]
    app.include_router(http.owner_router)
    app.include_router(http.reader_router)
    app.include_router(http.router)
    app.include_router(page_files.router)
    return app


def _named(names: str, dialects: Mapping[str, Endpoints]) -> list[Endpoints]:
    unknown = [name for name in names.split() if name not in dialects]
    if unknown:
        raise PROBLEMS.error("unknown_dialect", name=unknown[0], known=" ".join(dialects))
    return [dialects[name] for name in dict.fromkeys(names.split())]


def _add_dialect(app: FastAPI, path: str, dialect: Callable[[], Dialect]) -> None:
    state = app.state

    async def stream(websocket: WebSocket) -> None:
        connection = StreamConnection(
            websocket, dialect(), state.settings, state.sessions, state.entry, state.connections
        )
        error_code = await connection.serve()
        if error_code is not None:
            state.metrics.count_error(error_code)

    app.add_api_websocket_route(path, stream)


async def drain(app: FastAPI) -> None:
    """Finish all sessions, and let their connections send the finals and close; bounded by the settings."""
    await asyncio.to_thread(app.state.sessions.close)
    await app.state.connections.ended(LEAVE_SECONDS, SESSION_PROBLEMS.error("server_stopping"))

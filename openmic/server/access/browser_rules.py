"""What browsers are told and held to over HTTP: the server's names (``Host``), and pages of other origins (CORS).

The WebSocket has the same rules, but no headers to tell them by: see ``Gate.check_origin``.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openmic.errors import OpenmicError
from openmic.server.access.gate import Gate
from openmic.server.problems import PROBLEMS
from openmic.server.statuses import error_response

PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE",
    "Access-Control-Max-Age": "600",
}
READABLE = "Content-Disposition, Retry-After, X-Request-Id, Openmic-Model, Openmic-Warning"
USUAL_HEADERS = "Authorization, Content-Type"


class BrowserRules:
    """ASGI middleware: refuses names that are not this server's, and tells pages that may use it so.

    A page may if ``Gate.check_origin`` says so; it is told on every answer, errors too. Nothing is allowed that a
    browser would add by itself (cookies, passwords): a page has to have a token.

    Args:
        app: what answers.
        gate: whose rules they are.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; see ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            self._gate.check_host(request)
        except OpenmicError as error:
            await error_response(error)(scope, receive, send)
            return
        origin = self._allowed_origin(request)
        begun = False

        async def tell(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                headers.add_vary_header("Origin")
                if origin is not None:
                    headers["Access-Control-Allow-Origin"] = origin
                    headers["Access-Control-Expose-Headers"] = READABLE
            await send(message)

        if origin is not None and request.method == "OPTIONS" and "access-control-request-method" in request.headers:
            wanted = request.headers.get("access-control-request-headers", USUAL_HEADERS)  # SDKs have many of their own
            headers = {**PREFLIGHT, "Access-Control-Allow-Headers": wanted}
            await Response(status_code=204, headers=headers)(scope, receive, tell)
            return
        try:
            await self._app(scope, receive, tell)
        except Exception as fault:
            if not begun:
                await error_response(PROBLEMS.error("request_failed", detail=type(fault).__name__))(
                    scope, receive, tell
                )
            raise  # to be logged

    def _allowed_origin(self, request: Request) -> str | None:
        try:
            self._gate.check_origin(request)
        except OpenmicError:
            return None
        return request.headers.get("origin")

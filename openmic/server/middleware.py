"""What all HTTP answers have in common: a request's name, and HEAD."""

from __future__ import annotations

import secrets

from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_ID = "x-request-id"


def name_request(request: HTTPConnection, name: str) -> None:
    """Let the answer to ``request`` carry ``name`` as its ``x-request-id``."""
    request.scope.setdefault("state", {})[REQUEST_ID] = name


class RequestNames:
    """ASGI: each answer has an ``x-request-id``, a session's name where it is about one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = state.get(REQUEST_ID) or secrets.token_hex(16)
            await send(message)

        await self._app(scope, receive, send_named)


class HeadIsGet:
    """ASGI: HEAD is answered as GET is; the web server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)

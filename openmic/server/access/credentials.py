"""Where a client shows its token: in a header, a subprotocol or the first message (that one is read elsewhere).

Never in a query string: addresses end up in logs.
"""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

TOKEN_PREFIX = "token."


def bearer_token(connection: HTTPConnection) -> str | None:
    """The token of an ``Authorization: Bearer`` header, if there is one."""
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() == "bearer" else None


def handshake_token(websocket: WebSocket) -> str | None:
    """The token that came with a WebSocket's handshake, in its header or among its subprotocols, if any."""
    shown = bearer_token(websocket)
    if shown is not None:
        return shown
    for subprotocol in websocket.scope.get("subprotocols", []):
        if subprotocol.startswith(TOKEN_PREFIX):
            return str(subprotocol.removeprefix(TOKEN_PREFIX))
    return None

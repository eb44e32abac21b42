"""Where a client shows its token: in a header, a subprotocol or the first message (that one is read elsewhere).

Other vendors' SDKs have shapes of their own; each dialect asks for those that its SDKs use.

Never in a query string: addresses end up in logs.
"""

from __future__ import annotations

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

TOKEN_PREFIX = "token."


SCHEMES = ("bearer", "token")  # of an Authorization header; the second is Deepgram's


def bearer_token(connection: HTTPConnection) -> str | None:
    """The token of an ``Authorization: Bearer TOKEN`` or ``Token TOKEN`` header, if there is one."""
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    return value.strip() if scheme.lower() in SCHEMES else None


def bare_token(connection: HTTPConnection) -> str | None:
    """As ``bearer_token``, and also where the header holds nothing but the token."""
    value = connection.headers.get("authorization", "").strip()
    return bearer_token(connection) or (value if value and " " not in value else None)


def token_behind(websocket: WebSocket, names: tuple[str, ...]) -> str | None:
    """The subprotocol that is offered right behind one of ``names``: ``token, TOKEN``."""
    offered = websocket.scope.get("subprotocols", [])
    return next((str(offered[at + 1]) for at, name in enumerate(offered[:-1]) if name in names), None)


def token_with_prefix(websocket: WebSocket, prefix: str) -> str | None:
    """The rest of the first offered subprotocol that begins with ``prefix``: ``token.TOKEN``."""
    offered = websocket.scope.get("subprotocols", [])
    return next((str(name.removeprefix(prefix)) for name in offered if name.startswith(prefix)), None)


def handshake_token(websocket: WebSocket) -> str | None:
    """The token that came with a WebSocket's handshake, in its header or among its subprotocols, if any."""
    shown = bearer_token(websocket)
    return shown if shown is not None else token_with_prefix(websocket, TOKEN_PREFIX)

"""Who may use this server: whoever knows its token, shown in a header, a subprotocol or the first message.

Never in a query string: addresses end up in logs. All comparisons take the same time whatever is compared.
"""

from __future__ import annotations

import hmac

from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket

from openmic.server.problems import PROBLEMS

TOKEN_PREFIX = "token."


def check_token(shown: str | None, token: str) -> None:
    """Let pass only ``token``.

    Raises:
        OpenmicError: ``token_missing``, ``token_wrong``.
    """
    if shown is None:
        raise PROBLEMS.error("token_missing")
    if not hmac.compare_digest(shown.encode(errors="replace"), token.encode(errors="replace")):
        raise PROBLEMS.error("token_wrong")


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

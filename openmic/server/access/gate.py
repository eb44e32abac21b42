"""The door: where a client comes from, what it shows, and whether it may come in.

In this order: the page that it comes from (``Origin``), its address (too many wrong tokens?), its token.
"""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.server.access.client_address import WrongTokens, client_address, is_local
from openmic.server.access.tokens import AccessToken, TokenStore
from openmic.server.access.unauthenticated import UnauthenticatedConnections
from openmic.server.problems import PROBLEMS, TooManyWrongTokens
from openmic.settings import Settings

logger = logging.getLogger(__name__)

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
ANY = "*"


class Gate:
    """Lets clients in, or says why not.

    Args:
        settings: budgets and allowed origins.
        tokens: those that open.

    Attributes:
        public_url: where a tunnel of ours leads here from; None while there is none. Only then is the tunnel's word
            about its visitors' addresses taken.
    """

    def __init__(self, settings: Settings, tokens: TokenStore) -> None:
        self.tokens = tokens
        self.unauthenticated = UnauthenticatedConnections(settings)
        self.wrong_tokens = WrongTokens(settings.max_wrong_tokens, settings.wrong_token_seconds)
        self.public_url: str | None = None
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in settings.allowed_origins.split())

    def address(self, connection: HTTPConnection) -> str:
        """The address of whoever opened the connection."""
        return client_address(connection, behind_tunnel=self.public_url is not None)

    def check_origin(self, connection: HTTPConnection) -> None:
        """Let pass programs (they send no ``Origin``), this server's own pages, this machine's, and the allowed ones.

        Raises:
            OpenmicError: ``origin_not_allowed``.
        """
        origin = connection.headers.get("origin")
        if origin is None or ANY in self._allowed or origin.lower() in self._allowed:
            return
        try:
            parts = urlsplit(origin.lower())
            name, place = parts.hostname, parts.netloc
        except ValueError:
            name = place = None
        ours = urlsplit(self.public_url.lower()).netloc if self.public_url else None
        if not place or (place not in (connection.headers.get("host", "").lower(), ours) and name not in LOCAL_NAMES):
            raise PROBLEMS.error("origin_not_allowed")

    def check(self, shown: str | None, connection: HTTPConnection) -> AccessToken:
        """The token that is shown, also one whose life is over; a wrong one is counted against the address.

        An address that showed too many is not looked at any more for a while, whatever it shows. This machine itself
        is: behind a tunnel or proxy that is not ours everybody comes from there.

        Raises:
            OpenmicError: ``token_missing``, ``token_wrong``, ``token_revoked``, ``too_many_wrong_tokens``.
        """
        address = self.address(connection)
        wait = self.wrong_tokens.blocked_for(address)
        if wait > 0 and not is_local(address):
            raise TooManyWrongTokens(wait)
        try:
            return self.tokens.find(shown)
        except OpenmicError as error:
            if error.code == "token_wrong" and self.wrong_tokens.count(address):
                log_event(logger, "address_blocked", logging.WARNING, address=address)
            if error.code == "token_wrong" and wait > 0:
                raise TooManyWrongTokens(wait) from error
            raise

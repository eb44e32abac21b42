"""The gate: where a client comes from, what it shows, and whether it may come in.

In this order: the name that it knows this server by (``Host``), the page that it comes from (``Origin``), its token,
and for a wrong one its address (too many of them?).
"""

from __future__ import annotations

import ipaddress
import logging
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.origins import ANY, normalized_origin, parse_origins, without_default_port
from openmic.server.access.client_address import RefillingBudget, client_address, is_local
from openmic.server.access.refusals import RefusalLog
from openmic.server.access.tokens import AccessToken, TokenStore
from openmic.server.access.unauthenticated import UnauthenticatedConnections
from openmic.server.problems import PROBLEMS, TooManyStarts, TooManyWrongTokens
from openmic.settings import Settings

logger = logging.getLogger(__name__)

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
OWN_ENDINGS = (".localhost", ".local")  # of names that only this machine or this network gives
SHOWN_CHARACTERS = 60  # of a client's own text in an error


class Gate:
    """Lets clients in, or says why not.

    Args:
        settings: budgets and allowed origins.
        tokens: those that open.

    Attributes:
        public_url: where a tunnel of ours leads here from; None while there is none. Only then is the tunnel's word
            about its visitors' addresses taken.
        refusals: what is refused, in the log.
    """

    def __init__(self, settings: Settings, tokens: TokenStore) -> None:
        self.settings = settings
        self.tokens = tokens
        self.unauthenticated = UnauthenticatedConnections(settings)
        self.wrong_tokens = RefillingBudget(settings.max_wrong_tokens, settings.wrong_token_seconds)
        self.starts = RefillingBudget(settings.max_starts_per_minute, 60.0)
        self.refusals = RefusalLog()
        self.public_url: str | None = None
        self._allowed = parse_origins(settings.allowed_origins)
        self._names = {settings.host.lower(), *(urlsplit(origin).hostname for origin in self._allowed)}

    def address(self, connection: HTTPConnection) -> str:
        """The address that opened the connection."""
        return client_address(connection, behind_tunnel=self.public_url is not None)

    def check_host(self, connection: HTTPConnection) -> None:
        """Let pass clients that know this server by a name of its own.

        A page of a stranger can have its name lead to this machine once it is loaded (DNS rebinding), and would then
        be of one origin with this server. The name that it calls the server by is still the stranger's: one with a
        dot in it, as nobody can register another. So addresses and names of the local network pass, the tunnel's
        name, and those of the allowed origins.

        Raises:
            OpenmicError: ``host_not_allowed``.
        """
        host = connection.headers.get("host", "").lower()
        try:
            name = urlsplit(f"//{host}").hostname or ""
            ipaddress.ip_address(name)
        except ValueError:
            name = host.rpartition(":")[0] or host
        else:
            return
        name = name.rstrip(".")
        if "." not in name or name.endswith(OWN_ENDINGS) or ANY in self._allowed or name in self._names:
            return
        if self.public_url is None or name != urlsplit(self.public_url.lower()).hostname:
            raise PROBLEMS.error("host_not_allowed", host=name[:SHOWN_CHARACTERS])

    def check_origin(self, connection: HTTPConnection) -> None:
        """Let pass programs (they send no ``Origin``), this server's own pages, this machine's, and the allowed ones.

        Raises:
            OpenmicError: ``origin_not_allowed``; see also ``check_host``.
        """
        self.check_host(connection)
        origin = connection.headers.get("origin")
        if origin is None or ANY in self._allowed:
            return
        host = connection.headers.get("host", "").lower()
        try:
            normal = normalized_origin(origin)
        except ValueError:  # "null", a program's own scheme
            normal = ""
        parts = urlsplit(normal)
        ours = {without_default_port(host, parts.scheme), urlsplit((self.public_url or "").lower()).netloc}
        if normal not in self._allowed and (
            not normal or (parts.netloc not in ours and parts.hostname not in LOCAL_NAMES)
        ):
            shown = {"origin": origin[:SHOWN_CHARACTERS], "host": host[:SHOWN_CHARACTERS]}
            raise PROBLEMS.error("origin_not_allowed", **shown)

    def check(self, shown: str | None, connection: HTTPConnection, *, counted: bool = True) -> AccessToken:
        """The token that is shown, also one whose life is over; a wrong one is counted against the address.

        A right token passes wherever it comes from: many people may share an address with one who shows wrong ones.
        An address that shows too many gets no answer about them for a while.

        Args:
            shown: the token.
            connection: that shows it.
            counted: whether it counts if it is wrong. A session's resume token is none of ours, but no guess either.

        Raises:
            OpenmicError: ``token_missing``, ``token_wrong``, ``token_revoked``, ``too_many_wrong_tokens``.
        """
        try:
            return self.tokens.find(shown)
        except OpenmicError as error:
            if error.code != "token_wrong":
                raise
            address = self.address(connection)
            wait = self.wrong_tokens.blocked_for(address)
            if counted and (wait <= 0 or is_local(address)) and self.wrong_tokens.count(address):
                log_event(logger, "address_blocked", logging.WARNING, address=address)
            if wait > 0:
                raise TooManyWrongTokens(wait) from error
            raise

    def count_start(self, token: AccessToken, connection: HTTPConnection) -> None:
        """Count a session that is to be begun; the owner's are not.

        Raises:
            OpenmicError: ``too_many_starts``: with this token, from this address.
        """
        if token.use == "owner":
            return
        who = f"{token.id} {self.address(connection)}"
        wait = self.starts.blocked_for(who)
        if wait > 0:
            raise TooManyStarts(self.settings.max_starts_per_minute, wait)
        self.starts.count(who)

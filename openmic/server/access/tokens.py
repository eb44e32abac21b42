"""The tokens of this server: their uses and lifetimes, made and revoked while it runs.

Only a token's SHA-256 is kept, so that neither a dump nor a ``repr`` of this room shows one. What is shown is compared
with all of them in the same time, whichever fits.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from openmic.log import log_event
from openmic.server.problems import PROBLEMS

logger = logging.getLogger(__name__)

TOKEN_BYTES = 24  # of randomness; guessing is hopeless at any rate
ID_BYTES = 4

Use = Literal["owner", "tester"]
"""``tester``: speak, and read one's own sessions. ``owner``: everything, others' sessions and the metrics too."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """One token as it may be shown: without its secret.

    Attributes:
        id: its name, for lists, logs and ``revoke``.
        use: what it opens.
        created: seconds since 1970.
        seconds: its life from then on; None: as long as the server.
        revoked: whether it was taken back.
        deadline: end of its life on the monotonic clock, which nobody sets back.
    """

    id: str
    use: Use
    created: float
    seconds: float | None
    revoked: bool = False
    deadline: float | None = None

    @property
    def expired(self) -> bool:
        """Whether its life is over: it begins nothing new, but what it began may go on and be resumed."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def check_alive(self) -> None:
        """Let pass only a token whose life is not over.

        Raises:
            OpenmicError: ``token_expired``.
        """
        if self.expired:
            raise PROBLEMS.error("token_expired", seconds=self.seconds)


class TokenStore:
    """All tokens of one server; from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: dict[bytes, AccessToken] = {}  # by digest
        self._watchers: dict[object, tuple[str, Callable[[], None]]] = {}

    def make(self, use: Use, seconds: float | None = None, secret: str | None = None) -> tuple[AccessToken, str]:
        """A new token; ``secret``: one of the owner's choice instead of a random one.

        Returns:
            What may be shown of it, and the token itself, which is not to be had again.

        Raises:
            OpenmicError: ``bad_token_request``.
        """
        if use not in ("owner", "tester"):
            raise PROBLEMS.error("bad_token_request", detail=f"A token's use is owner or tester, not {use!r}")
        if seconds is not None and not seconds > 0:
            raise PROBLEMS.error("bad_token_request", detail="A token's life is a number of seconds above 0")
        secret = secret or secrets.token_urlsafe(TOKEN_BYTES)
        deadline = time.monotonic() + seconds if seconds is not None else None
        key = AccessToken(secrets.token_hex(ID_BYTES), use, time.time(), seconds, deadline=deadline)
        with self._lock:
            if digest(secret) in self._keys:
                raise PROBLEMS.error("bad_token_request", detail="That token is in use already")
            self._keys[digest(secret)] = key
        log_event(logger, "token_made", token_id=key.id, use=use, seconds=seconds)
        return key, secret

    def take(self, digest_of_secret: bytes, key: AccessToken) -> None:
        """Let a token open that another process has made; nobody here knows its secret."""
        with self._lock:
            self._keys[digest_of_secret] = key
        log_event(logger, "token_made", token_id=key.id, use=key.use, seconds=key.seconds)

    def find(self, shown: str | None) -> AccessToken:
        """The token that is shown, whether its life is over or not.

        Raises:
            OpenmicError: ``token_missing``, ``token_wrong``, ``token_revoked``.
        """
        if shown is None:
            raise PROBLEMS.error("token_missing")
        wanted = digest(shown)
        found: AccessToken | None = None
        with self._lock:
            for known, key in self._keys.items():  # all of them, whichever fits: each takes the same time
                if hmac.compare_digest(known, wanted):
                    found = key
        if found is None:
            raise PROBLEMS.error("token_wrong")
        if found.revoked:
            raise PROBLEMS.error("token_revoked")
        return found

    def revoke(self, id_or_token: str) -> AccessToken:
        """Revoke a token: it opens nothing any more, and its watchers are notified.

        Raises:
            OpenmicError: ``no_such_token``.
        """
        with self._lock:
            shown = digest(id_or_token)
            found = next((known for known, key in self._keys.items() if key.id == id_or_token or known == shown), None)
            if found is None:
                raise PROBLEMS.error("no_such_token")
            key = self._keys[found] = replace(self._keys[found], revoked=True)
            told = [callback for watched, callback in self._watchers.values() if watched == key.id]
        log_event(logger, "token_revoked", token_id=key.id, connections=len(told))
        for callback in told:
            callback()
        return key

    def check_not_revoked(self, token_id: str) -> None:
        """Let pass what was begun with a token that nobody has taken back since.

        Args:
            token_id: of the token; one that is not known here, as of an earlier start of the server, passes.

        Raises:
            OpenmicError: ``token_revoked``.
        """
        with self._lock:
            if any(key.id == token_id and key.revoked for key in self._keys.values()):
                raise PROBLEMS.error("token_revoked")

    def list(self) -> tuple[AccessToken, ...]:
        """All that were made, the oldest first."""
        with self._lock:
            return tuple(self._keys.values())

    def watch(self, watcher: object, key: AccessToken, on_revoked: Callable[[], None]) -> None:
        """Have ``on_revoked`` called, in the thread of ``revoke``, until ``unwatch``.

        Raises:
            OpenmicError: ``token_revoked``: that has happened meanwhile.
        """
        with self._lock:
            if any(known.id == key.id and known.revoked for known in self._keys.values()):
                raise PROBLEMS.error("token_revoked")
            self._watchers[watcher] = (key.id, on_revoked)

    def unwatch(self, watcher: object) -> None:
        """Call it no more; nothing happens to one that does not watch."""
        with self._lock:
            self._watchers.pop(watcher, None)


def digest(secret: str) -> bytes:
    """What is kept of a secret: its SHA-256."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).digest()

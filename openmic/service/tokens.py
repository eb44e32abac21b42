"""The tokens of a running service as its owner has them in hand: their secrets, and the links that carry them."""

from __future__ import annotations

import string
from dataclasses import dataclass, field

from pydantic import SecretStr

from openmic.server.access.tokens import AccessToken, TokenStore, Use
from openmic.server.problems import PROBLEMS
from openmic.settings import Settings
from openmic.tunnels.redaction import hide

LEAST_TOKEN_LETTERS = 16  # of a token that its owner chooses: nothing but its length keeps others from guessing it
TOKEN_LETTERS = frozenset(string.ascii_letters + string.digits + "-_.~")  # what a link carries as it is


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was just made; the service itself does not know its text any more.

    Attributes:
        id: its name, for ``revoke`` and ``tokens``.
        use: ``tester`` or ``owner``.
        seconds: its life; None: as long as the service.
        token: the secret.
        link: the service's page with it, for people.
    """

    id: str
    use: Use
    seconds: float | None
    token: str = field(repr=False)
    link: str = field(repr=False)


class ServiceTokens:
    """The first two tokens of a service, and those made later.

    Args:
        settings: ``token``, ``owner_token`` and ``link_seconds``.

    Raises:
        OpenmicError: ``bad_token_request``: both are the same, or one is easily guessed.
    """

    def __init__(self, settings: Settings) -> None:
        self.keys = TokenStore()
        self.link_seconds = settings.link_seconds or None
        self.tester = self._make("tester", self.link_seconds, settings.token)[1]
        self.owner = self._make("owner", None, settings.owner_token)[1]

    def new(self, url: str, use: Use, seconds: float | None) -> NewToken:
        """Make one, with a link to ``url``."""
        key, secret = self._make(use, seconds, None)
        text = secret.get_secret_value()
        return NewToken(key.id, key.use, key.seconds, text, f"{url}/#token={text}")

    def revoke(self, token: NewToken | AccessToken | str) -> AccessToken:
        """Take one back, by itself, its id or its text."""
        return self.keys.revoke(token if isinstance(token, str) else token.id)

    def _make(self, use: Use, seconds: float | None, secret: SecretStr | None) -> tuple[AccessToken, SecretStr]:
        key, text = self.keys.make(use, seconds, chosen_token(secret))
        hidden = SecretStr(text)
        hide(hidden)  # from the log, should it ever stand in a text of somebody else's
        return key, hidden


def chosen_token(secret: SecretStr | None) -> str | None:
    """The text of a token of the owner's choice; None where there is none.

    Raises:
        OpenmicError: ``bad_token_request``: it is easily guessed, or no link can carry it.
    """
    if secret is None:
        return None
    chosen = secret.get_secret_value()
    if len(chosen) < LEAST_TOKEN_LETTERS or not set(chosen) <= TOKEN_LETTERS:
        detail = f"Tokens of your own have at least {LEAST_TOKEN_LETTERS} letters, digits, - or _"
        raise PROBLEMS.error("bad_token_request", detail=detail)
    return chosen

"""Where a service is and what it wants to see: from a link for people to a WebSocket's address."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit, urlunsplit

from openmic.client.problems import PROBLEMS

STREAM_PATH = "/v1/stream"
_SCHEMES = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Address:
    """A stream's address.

    Attributes:
        url: ``ws://`` or ``wss://``, with the path of the stream; holds no token.
        host: name and port, for people.
        local: whether it is on this machine (no proxy on the way).
        token: what to show.
    """

    url: str
    host: str
    local: bool
    token: str = field(repr=False)

    def may_lead_to(self, other: Address) -> bool:
        """Whether a stream may move there: nothing that was encrypted goes out in the clear, the token least of all."""
        return other.url.startswith("wss:") or not self.url.startswith("wss:")


def link_token(link: str) -> str | None:
    """The token behind a link's ``#``; None where it has none."""
    return "".join(parse_qs(link.partition("#")[2]).get("token", [])[:1]) or None


def parse_link(link: str, token: str | None = None) -> Address:
    """Take a link apart.

    Args:
        link: ``http(s)://`` or ``ws(s)://``, with or without the stream's path, with or without ``#token=...``; a bare
            host is reached by https, one on this machine by http.
        token: the token, where the link does not carry it; wins where both are given.

    Raises:
        OpenmicError: ``bad_url``, ``no_token``.
    """
    text = link.strip()
    if "://" not in text:
        text = ("http://" if text.startswith(_LOCAL_HOSTS) else "https://") + text
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    shown = text.partition("#")[0]
    if not host or parts.scheme not in _SCHEMES:
        raise PROBLEMS.error("bad_url", url=shown)
    place = f"[{host}]" if ":" in host else host
    if port is not None:
        place += f":{port}"
    found = token or link_token(text)
    if not found:
        raise PROBLEMS.error("no_token", host=place)
    path = parts.path.rstrip("/")
    if not path.endswith(STREAM_PATH):
        path += STREAM_PATH
    url = urlunsplit((_SCHEMES[parts.scheme], place, path, "", ""))
    return Address(url=url, host=place, local=host in _LOCAL_HOSTS, token=found)

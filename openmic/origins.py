"""Web origins (RFC 6454): how they are written by people and by browsers, so that both mean the same."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

ANY = "*"
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def parse_origins(text: str) -> frozenset[str]:
    """The origins that ``text`` lists, parted by spaces, commas or semicolons; ``*`` stays as it is.

    Raises:
        ValueError: one of them is no origin; the message says which and why.
    """
    return frozenset(part if part == ANY else normalized_origin(part) for part in re.split(r"[\s,;]+", text) if part)


def normalized_origin(text: str) -> str:
    """``scheme://host`` or ``scheme://host:port`` in small letters, without the scheme's own port.

    Raises:
        ValueError: it has no scheme that pages have, no host, or more than that.
    """
    try:
        parts = urlsplit(text.lower())
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{text!r} is no origin: {error}") from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"{text!r} is no origin: it is written https://example.org")
    if "*" in parts.hostname:
        raise ValueError(f"{text!r} is no origin: each host is named in full (or `*` alone: all pages)")
    if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"{text!r} is more than an origin: https://example.org, without what comes behind the host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port is None else without_default_port(f":{port}", parts.scheme))


def without_default_port(place: str, scheme: str) -> str:
    """``host:port`` as a browser writes it: without the port that the scheme has anyway."""
    return place.removesuffix(_DEFAULT_PORTS.get(scheme, ":"))

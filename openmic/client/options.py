"""What a stream can be asked for, and how long it waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypedDict


class Waits(TypedDict, total=False):
    """How long a stream waits, and how much it keeps; every field may be left out.

    Attributes:
        open_seconds: for a connection and its ``ready`` (15).
        reconnect_seconds: for a broken connection to come back (60).
        confirm_seconds: for the service to confirm audio when ``keep_bytes`` is reached (120).
        final_seconds: for the next message once the audio has ended (600).
        keep_bytes: how much unconfirmed audio is kept before ``send`` waits (8 MiB).
    """

    open_seconds: float
    reconnect_seconds: float
    confirm_seconds: float
    final_seconds: float
    keep_bytes: int


class StreamOptions(Waits, total=False):
    """What a stream can be asked for: the fields of the protocol's ``start`` message, the waits, and where to go on.

    Attributes:
        find_link: asked, in a thread, for the service's present link before each try to reconnect, for a service whose
            public link may change (``lambda: mic.link``, or one that reads a file); None from it: where it was before.
    """

    language: str | None
    task: str
    prompt: str | None
    vocabulary: list[str | dict[str, Any]]
    encoding: str
    sample_rate: int
    channels: int
    words: bool
    find_link: Callable[[], str | None]


DEFAULT_WAITS = Waits(
    open_seconds=15.0, reconnect_seconds=60.0, confirm_seconds=120.0, final_seconds=600.0, keep_bytes=8_388_608
)

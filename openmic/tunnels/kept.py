"""A tunnel that is opened again when it breaks: its program died, or was killed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from openmic.errors import OpenmicError
from openmic.log import tell
from openmic.tunnels.types import Tunnel

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # how often the program is looked at
FIRST_SECONDS, LAST_SECONDS = 1.0, 60.0  # between tries to open it again; doubled after each
JOIN_SECONDS = 5.0


class KeptTunnel:
    """Implements ``Tunnel`` over one tunnel after the other.

    Args:
        tunnel: the first one, open.
        reopen: opens the next one; may take long, and raise ``OpenmicError``.
        on_change: told the new public URL, from a thread of this class, when it is not the old one.
    """

    def __init__(self, tunnel: Tunnel, reopen: Callable[[], Tunnel | None], on_change: Callable[[str], None]) -> None:
        self._tunnel = tunnel
        self._reopen = reopen
        self._on_change = on_change
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._problem = ""
        self._thread = threading.Thread(target=self._watch, name="openmic-tunnel-watch", daemon=True)
        tell(logger, "tunnel_opened", tunnel=tunnel.name, url=tunnel.public_url, again=False)
        self._thread.start()

    @property
    def name(self) -> str:
        """Who carries the traffic."""
        return self._tunnel.name

    @property
    def public_url(self) -> str:
        """Where it leads here from, now or, while it is down, the last time."""
        return self._tunnel.public_url

    @property
    def expires(self) -> str | None:
        """How long the URL is good for, as one sentence."""
        return self._tunnel.expires

    @property
    def problem(self) -> str:
        """Why the last try to open it again failed, as a sentence; "" while there is none."""
        return self._problem

    def alive(self) -> bool:
        """Whether the program behind it runs now."""
        return self._tunnel.alive()

    def close(self) -> None:
        """End the tunnel for good; again: nothing."""
        self._closed.set()
        with self._lock:
            self._tunnel.close()
        if self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)

    def _watch(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            if not self._tunnel.alive():
                tell(logger, "tunnel_lost", logging.WARNING, tunnel=self._tunnel.name)
                self._tunnel.close()
                self._open_again()

    def _open_again(self) -> None:
        wait = FIRST_SECONDS
        while not self._closed.is_set():
            try:
                tunnel = self._reopen()
            except OpenmicError as error:
                self._problem = error.what
                tell(logger, "tunnel_not_reopened", logging.WARNING, code=error.code, next_try_seconds=wait)
                tunnel = None
            if tunnel is not None:
                self._take(tunnel)
                return
            if self._closed.wait(wait):
                return
            wait = min(2 * wait, LAST_SECONDS)

    def _take(self, tunnel: Tunnel) -> None:
        with self._lock:
            before, self._tunnel, self._problem = self._tunnel.public_url, tunnel, ""
            if self._closed.is_set():  # while it was being opened
                tunnel.close()
                return
        tell(logger, "tunnel_opened", tunnel=tunnel.name, url=tunnel.public_url, again=True)
        if tunnel.public_url != before:
            self._on_change(tunnel.public_url)

"""A tunnel that is opened again when it breaks: its program died, or was killed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.threads import SupervisedThread
from openmic.tunnels.types import Tunnel

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0  # how often the program is looked at
FIRST_SECONDS, LAST_SECONDS = 1.0, 60.0  # between tries to open it again; doubled after each
LATE_SECONDS = 300.0  # without the end of a look or a try: one may fetch the program first
JOIN_SECONDS = 5.0


class ReopeningTunnel:
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
        self._thread = SupervisedThread("openmic-tunnel-watch", self._watch, LATE_SECONDS)
        log_event(logger, "tunnel_opened", tunnel=tunnel.name, url=tunnel.public_url, again=False)
        self._thread.start()

    @property
    def name(self) -> str:
        """The provider of the tunnel."""
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

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with the thread that looks after it; empty: nothing."""
        return self._thread.problems

    def alive(self) -> bool:
        """Whether the program behind it runs now."""
        return self._tunnel.alive()

    def close(self) -> None:
        """End the tunnel for good; again: nothing."""
        self._closed.set()
        with self._lock:
            self._tunnel.close()
        self._thread.join(JOIN_SECONDS)

    def _watch(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            lost = False
            with self._thread.turn("looking"):
                lost = not self._tunnel.alive()
            if lost:
                log_event(logger, "tunnel_lost", logging.WARNING, tunnel=self._tunnel.name)
                with self._thread.turn("closing"):
                    self._tunnel.close()
                self._open_again()

    def _open_again(self) -> None:
        wait = FIRST_SECONDS
        while not self._closed.is_set():
            tunnel: Tunnel | None = None
            with self._thread.turn("opening"):
                tunnel = self._try_to_open(wait)
            if tunnel is not None:
                self._take(tunnel)
                return
            if self._closed.wait(wait):
                return
            wait = min(2 * wait, LAST_SECONDS)

    def _try_to_open(self, wait: float) -> Tunnel | None:
        """The next tunnel; None where there is none for a reason that a person can do something about.

        Raises:
            Exception: there is none for any other reason.
        """
        try:
            return self._reopen()
        except OpenmicError as error:
            self._problem, code = error.what, error.code
            failure: Exception | None = None
        except Exception as fault:
            self._problem, code = f"Opening it failed ({type(fault).__name__}).", type(fault).__name__
            failure = fault
        log_event(logger, "tunnel_not_reopened", logging.WARNING, code=code, next_try_seconds=wait)
        if failure is not None:
            raise failure
        return None

    def _take(self, tunnel: Tunnel) -> None:
        with self._lock:
            before, self._tunnel, self._problem = self._tunnel.public_url, tunnel, ""
            if self._closed.is_set():  # while it was being opened
                tunnel.close()
                return
        log_event(logger, "tunnel_opened", tunnel=tunnel.name, url=tunnel.public_url, again=True)
        if tunnel.public_url != before:
            with self._thread.turn("telling"):
                self._on_change(tunnel.public_url)

"""Serving in a thread, beside a notebook's own event loop or anything else.

The pattern: bind the socket first, so that a port in use is an error here and not a silent end in the thread; run the
server's coroutine with ``asyncio.Runner``, which works whether or not ``nest_asyncio`` was applied before; wait on
its start, on the thread's death and on a deadline.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from openmic.errors import OpenmicError
from openmic.log import log_event
from openmic.server.access.descriptors import Listener, for_connections, lacks_descriptors, raise_limit
from openmic.server.app import LEAVE_SECONDS, drain
from openmic.server.problems import PROBLEMS
from openmic.server.uvicorn_protocols.http import HttpProtocol
from openmic.server.uvicorn_protocols.websocket import SocketProtocol
from openmic.settings import Settings

logger = logging.getLogger(__name__)

START_SECONDS = 30.0
SPARE_SECONDS = 5.0  # for uvicorn's own end, behind that of the sessions
HARD_LIMIT_FACTOR = 4  # messages above the limit get a clear error up to this multiple of it; then just 1009


class DrainingServer(uvicorn.Server):
    """uvicorn, but sessions get their finals before connections are closed."""

    def __init__(self, config: uvicorn.Config, app: FastAPI) -> None:
        super().__init__(config)
        self._app = app

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Do what uvicorn does, with an event loop that reports no lack of descriptors: ``Listener`` does."""
        asyncio.get_running_loop().set_exception_handler(_report)
        for listener in self._app.state.listeners:  # first: what fails here fails before the server has started
            await listener.start()
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the sessions, then do what uvicorn does."""
        for listener in self._app.state.listeners:
            listener.close()
        await drain(self._app)
        await super().shutdown(sockets)


class ServerThread:
    """One app on one port, in a daemon thread.

    Args:
        app: from ``create_app``.
        host: address to listen on.
        port: port to listen on; 0: any free one, see ``port`` after ``start``.
    """

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self._app = app
        settings: Settings = app.state.settings
        self._stop_seconds = settings.stop_seconds + LEAVE_SECONDS + 2 * SPARE_SECONDS
        config = uvicorn.Config(
            app,
            http=HttpProtocol.within(settings.first_message_seconds),
            ws=SocketProtocol,
            ws_max_size=settings.max_message_bytes * HARD_LIMIT_FACTOR,
            ws_ping_interval=settings.ping_seconds,
            ws_ping_timeout=settings.ping_seconds,
            ws_per_message_deflate=False,  # audio does not get smaller
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,  # it would believe any program here about whose address it comes with: see addresses
            timeout_graceful_shutdown=int(SPARE_SECONDS),
        )
        self._server = DrainingServer(config, app)
        self._thread = threading.Thread(target=self._run, name="openmic-server", daemon=True)
        self._socket: socket.socket | None = None
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        """The address for a browser on this machine."""
        return url_of(self.host, self.port)

    @property
    def running(self) -> bool:
        """Whether it serves."""
        return self._thread.is_alive() and self._server.started

    def announce_public_url(self, url: str) -> None:
        """Say where a tunnel of ours leads here from; its word about its visitors' addresses is taken from now on."""
        self._app.state.entry.public_url = url

    def warn(self, warning: OpenmicError, url: str | None = None) -> None:
        """Tell all clients that are connected something to know about; from any thread."""
        self._app.state.connections.warn(warning, url)

    def watch(self, problems: Callable[[], tuple[str, ...]]) -> None:
        """Have ``/healthz`` and ``problems`` tell of one more part of the service, too."""
        self._app.state.watched.append(problems)

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong with this thread and with the parts that are watched, each in some words; empty: nothing."""
        dead = self._server.started and not self._server.should_exit and not self._thread.is_alive()
        found = [problem for problems in self._app.state.watched for problem in problems()]
        return (*((f"{self._thread.name} is dead",) if dead else ()), *found)

    def start(self) -> None:
        """Bind, serve, and return once requests are answered.

        Raises:
            OpenmicError: ``port_in_use``, ``address_unusable``, ``server_not_started``.
        """
        self._socket = self._bind()
        self.port = self._socket.getsockname()[1]
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                died = not self._thread.is_alive()
                self.stop()
                detail = f"Its thread ended ({type(self._failure).__name__})" if died else "It took too long"
                raise PROBLEMS.error("server_not_started", detail=detail)
            time.sleep(0.01)

    def stop(self) -> None:
        """Finish the sessions, tell their clients, and end; bounded, and safe to call again or before ``start``."""
        self._server.should_exit = True
        try:
            if self._thread.ident is not None and self._thread is not threading.current_thread():
                self._thread.join(self._stop_seconds)
        finally:  # also where the wait is interrupted: nobody may come in any more
            if self._socket is not None:
                self._socket.close()

    def _run(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._server.serve(sockets=[self._socket] if self._socket else []))
        except BaseException as failure:  # SystemExit too: uvicorn ends its process so, and this is only a thread
            self._failure = failure
            log_event(logger, "service_fault", logging.ERROR, part="web server")

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = Listener(family, for_connections(raise_limit()))
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                raise PROBLEMS.error("port_in_use", host=self.host, port=self.port) from error
            detail = error.strerror or type(error).__name__
            raise PROBLEMS.error("address_unusable", host=self.host, port=self.port, detail=detail) from error
        return listener


def url_of(host: str, port: int) -> str:
    """The address, for a browser on this machine, of a server that listens on ``host``."""
    host = "127.0.0.1" if host in ("0.0.0.0", "") else "[::1]" if host == "::" else host
    return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{port}"


def _report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not lacks_descriptors(context):
        loop.default_exception_handler(context)

"""One replica: the whole service but its socket, which Serve holds."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable

from openmic.cluster.metrics import ClusterMetrics
from openmic.cluster.orders import read_orders
from openmic.cluster.places import FREE, OPEN
from openmic.cluster.problems import PROBLEMS
from openmic.cluster.reports import REPORT_SECONDS, Report, Reports
from openmic.cluster.status import to_report
from openmic.log import Log, log_event
from openmic.server.access.token_file import LOOK_SECONDS, TokenFile
from openmic.server.access.tokens import TokenStore
from openmic.server.app import create_app, drain
from openmic.service.status import read_status
from openmic.service.tokens import chosen_token
from openmic.sessions.registry import Sessions
from openmic.settings import Settings
from openmic.speech.types import Engine
from openmic.threads import SupervisedThread
from openmic.tunnels.redaction import redact

logger = logging.getLogger(__name__)

JOIN_SECONDS = 2.0
SILENT_SECONDS = 4.0  # without a question of Serve's, after which a replica looks whether it is to go


class Unwell(Exception):
    """What is wrong with a replica, for Serve's log."""


class Replica:
    """Engine, sessions and web application over a folder that all replicas share; made on the event loop that serves.

    Args:
        settings: as a service's; ``host``, ``port`` and ``tunnel`` are Serve's matter.
        load: loads the engine.
        name: of the replica, as Serve has it.
        one_stops: whether Serve, which must be well, is stopping some replica now; asked in a thread.

    Attributes:
        app: the web application.

    Raises:
        OpenmicError: a setting cannot be used, or the weights cannot be had.
    """

    def __init__(
        self, settings: Settings, load: Callable[[Settings], Engine], name: str, one_stops: Callable[[], bool]
    ) -> None:
        if "wyoming" in settings.dialects.split():
            raise PROBLEMS.error("no_listeners", name="wyoming")
        # A log in the shared folder would have several writers. Ray keeps what a replica says on stderr.
        log_to = "stderr" if settings.log_to == "file" else settings.log_to
        self._log = Log(log_to, settings.data_dir / "log", words=settings.log_words, redact=redact)
        self._name = name
        self._engine = load(settings)
        self._sessions = Sessions(settings, self._engine)
        self._sessions.warm_up()
        self._tokens, self._reports = TokenFile(settings.data_dir), Reports(settings.data_dir)
        self._tokens.ensure("tester", settings.link_seconds or None, chosen_token(settings.token))
        self._tokens.ensure("owner", None, chosen_token(settings.owner_token))
        self._keys = TokenStore()
        self._tokens.follow(self._keys)
        self.app = create_app(settings, self._sessions, self._keys)
        state = self.app.state
        self._metrics = state.metrics = ClusterMetrics(
            self._sessions, state.entry, state.connections, name, self._reports
        )
        self._data_dir, self._one_stops = settings.data_dir, one_stops
        self._began = time.time()
        self._asked_at = math.inf
        self._leaving = self._ended = False
        self._public_url: str | None = None
        self._loop = asyncio.get_running_loop()
        self._closing = threading.Event()
        self._thread = SupervisedThread("openmic-replica", self._run)
        self._thread.start()
        state.watched.append(lambda: self._thread.problems)
        info = self._engine.info
        log_event(logger, "service_started", replica=name, model=info.name, device=info.device)

    def lead_here_from(self, public_url: str | None) -> None:
        """Say where a load balancer leads here from; None: no name of its own does."""
        self._public_url = public_url

    def check_health(self) -> None:
        """Let pass a replica that keeps its promises; ``/healthz`` asks the same.

        Raises:
            Unwell: a part of it fails.
        """
        problems = [problem for problems in self.app.state.watched for problem in problems()]
        if self._leaving:
            problems.append("its sessions have been handed over")
        if problems:
            raise Unwell("; ".join(problems))

    def routing_stats(self) -> dict[str, int]:
        """How many sessions it would let in now, and how many connections it has."""
        self._asked_at = time.monotonic()
        return {FREE: 0 if self._leaving else self._sessions.free_places, OPEN: len(self.app.state.connections)}

    async def close(self) -> None:
        """End all sessions, for at most ``stop_seconds``, and let go of everything."""
        log_event(logger, "service_stopping")
        await drain(self.app)
        self._closing.set()
        await asyncio.to_thread(self._end)

    def _end(self) -> None:
        self._thread.join(JOIN_SECONDS)
        self._engine.close()
        self._reports.remove(self._name)
        log_event(logger, "service_stopped")
        self._log.close()

    def _run(self) -> None:
        report_at = 0.0
        while not self._closing.wait(LOOK_SECONDS):
            with self._thread.turn("following the tokens"):
                self._tokens.follow(self._keys)
            with self._thread.turn("following the orders"):
                self._obey()
            if time.monotonic() >= report_at:
                report_at = time.monotonic() + REPORT_SECONDS
                with self._thread.turn("looking whether it must go"):
                    self._hand_over_if_it_must_go()
                with self._thread.turn("reporting"):
                    self._report()

    def _obey(self) -> None:
        orders = read_orders(self._data_dir)
        self.app.state.entry.public_url = orders.public_url or self._public_url
        if orders.ending and not self._ended:
            asyncio.run_coroutine_threadsafe(drain(self.app), self._loop).result()
            self._ended = True

    def _hand_over_if_it_must_go(self) -> None:
        """Hand sessions over once Serve waits for their end, which may be an hour away, if others have places for them.

        Serve tells a replica nothing of that, but asks all others twice a second for their routing stats.
        """
        if self._leaving or time.monotonic() - self._asked_at < SILENT_SECONDS or not self._one_stops():
            return
        others = sum(report.free for report in self._reports.read() if report.replica != self._name)
        if others >= len(self.app.state.connections):
            self._leaving = True
            log_event(logger, "service_stopping")
            self._sessions.hand_over()

    def _report(self) -> None:
        info, metrics = self._engine.info, self._metrics.own_text().decode()
        device = info.device if info.device == "cpu" else info.device_name
        status = read_status("running", "", "", self._began, self._engine, self._sessions, None, None, everywhere=False)
        self._reports.write(
            Report(
                replica=self._name,
                pid=os.getpid(),
                host=socket.gethostname(),
                at=time.time(),
                model=info.name,
                device=device,
                places=self._sessions.places,
                free=0 if self._leaving else self._sessions.free_places,
                ended=self._ended,
                status=to_report(status),
                metrics=metrics,
            )
        )

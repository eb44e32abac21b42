"""A cluster on one machine: Ray and Serve are started, shown as one service, and ended again."""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any

from openmic.cluster.orders import Orders
from openmic.cluster.own_ray import free_port, start_ray
from openmic.cluster.problems import PROBLEMS
from openmic.cluster.reports import Report, Reports
from openmic.cluster.status import from_report, together
from openmic.errors import OpenmicError
from openmic.notebook.card import Card
from openmic.notebook.dashboard import Dashboard
from openmic.notebook.status import Moment, Status
from openmic.progress import ProgressCallback, silent
from openmic.server.access.token_file import SharedToken, TokenFile
from openmic.server.access.tokens import AccessToken, Use
from openmic.server.thread import url_of
from openmic.service.arguments import check_port, make_settings
from openmic.service.tokens import NewToken, chosen_token
from openmic.sessions.archive import Archive
from openmic.settings import Settings
from openmic.speech.engine.costs import describe_capacity
from openmic.speech.types import Engine
from openmic.tunnels import ReopeningTunnel, how_to_get_public_url, look_for_authtoken, open_tunnel

NAME = "openmic"
SPARE_SECONDS = 15.0  # for connections to send their last messages, behind ``stop_seconds``
POLL_SECONDS = 0.25
MOMENTS = 300  # that the dashboard's curves go back
REPORTED_SECONDS = 10.0  # until replicas that are ready have said so in the shared folder
GOOD_FOR = "The link works while this cluster runs; a new start makes a new token."


class Cluster:
    """Replicas of the service on this machine; ``with`` starts and stops them.

    Args:
        replicas: how many; they share the cores, and the GPUs where there are any.
        load: loads each replica's engine; None: Whisper, as the settings say.
        settings: of the service, by name; ``port`` 0 is any free one.

    Attributes:
        settings: those of each replica.
        local_url: where it is on this machine; "" before it has started.

    Raises:
        OpenmicError: ``ray_missing``, or a setting cannot be used.
    """

    def __init__(self, replicas: int, load: Callable[[Settings], Engine] | None = None, **settings: Any) -> None:
        if importlib.util.find_spec("ray") is None:
            raise PROBLEMS.error("ray_missing")
        self.settings = make_settings(**settings)
        self.local_url = ""
        self._replicas, self._load = replicas, load
        self._given = {name: value for name, value in settings.items() if value not in ("", None)}
        self._given.setdefault("cpu_threads", self.settings.cpu_threads or max(1, (os.cpu_count() or 1) // replicas))
        self._tokens, self._reports = TokenFile(self.settings.data_dir), Reports(self.settings.data_dir)
        self._tester: SharedToken | None = None
        self._tunnel: ReopeningTunnel | None = None
        self._in_ray = False
        self._began = time.time()
        self._history = deque[tuple[float, Moment]](maxlen=MOMENTS)
        self._dashboard = Dashboard(self.status, self.stop, self.delete_recordings)

    def start(self, progress: ProgressCallback = silent) -> None:
        """Start Ray and all replicas, and open the tunnel; where only that fails, it is raised and the rest runs.

        Raises:
            OpenmicError: ``cluster_not_started``, ``port_in_use``, or one of the tunnel's.
        """
        check_port(self.settings.host, self.settings.port)
        authtoken = look_for_authtoken(self.settings)
        port = self.settings.port or free_port(self.settings.host)
        self._tokens.renew()
        Orders().write(self.settings.data_dir)
        self._tester = self._tokens.ensure(
            "tester", self.settings.link_seconds or None, chosen_token(self.settings.token)
        )
        self._start_ray(port, progress)
        self._run(progress)
        self.local_url = url_of(self.settings.host, port)
        tunnel = open_tunnel(self.settings, port, progress, authtoken)
        if tunnel is not None:
            self._lead_here_from(tunnel.public_url)
            self._tunnel = ReopeningTunnel(
                tunnel, lambda: open_tunnel(self.settings, port, authtoken=authtoken), self._lead_here_from
            )

    @property
    def url(self) -> str:
        """Where everybody finds it: the public URL, or the local one where there is none."""
        return self._tunnel.public_url if self._tunnel is not None else self.local_url

    @property
    def link(self) -> str:
        """For people: ``url`` with the testers' token in its fragment."""
        return f"{self.url}/#token={self._secret}"

    def replicas(self) -> list[Report]:
        """Those that are at work, as they last reported."""
        return [report for report in self._reports.read() if report.at >= self._began]

    def new_token(self, use: Use = "tester", seconds: float | None = None) -> NewToken:
        """Make one more token, which all replicas know within a second.

        Raises:
            OpenmicError: ``bad_token_request``.
        """
        token, secret = self._tokens.make(use, seconds)
        return NewToken(token.id, token.use, seconds, secret, f"{self.url}/#token={secret}")

    def revoke(self, token: NewToken | str) -> None:
        """Take a token back, by itself, its id or its text: within a second what came in with it ends everywhere.

        Raises:
            OpenmicError: ``no_such_token``.
        """
        self._tokens.revoke(token if isinstance(token, str) else token.id)

    def tokens(self) -> tuple[AccessToken, ...]:
        """All tokens, without their secrets."""
        return tuple(token.access_token() for token in self._tokens.read())

    def status(self) -> Status:
        """What all replicas do together, for the dashboard."""
        told = [(report.replica, from_report(report.status)) for report in self.replicas()]
        now = time.monotonic()
        status = together(
            told,
            state="running" if self._in_ray else "stopped",
            link=self.link if self._in_ray else "",
            tunnel=self._tunnel.name if self._tunnel is not None else "",
            speakers=self._speakers,
        )
        self._history += [(now, moment) for moment in status.history]
        moments = tuple(replace(moment, seconds_ago=now - at) for at, moment in self._history)
        return replace(status, history=moments)

    def dashboard(self, *, words: bool = False) -> Dashboard:
        """What all replicas do right now, to display in a notebook; ``words``: with what people say."""
        self._dashboard.show_words(words)
        return self._dashboard

    def delete_recordings(self) -> int:
        """Delete sound and text of all ended sessions, before ``keep_seconds`` is over; returns how many there were."""
        ended = [one for one in Archive(self.settings.data_dir).entries() if one.standing in ("ended", "failed")]
        for one in ended:
            one.delete()
        return len(ended)

    def card(self) -> Card:
        """Link, QR code, and how many can speak on all replicas together."""
        reports, public = self.replicas(), self._tunnel
        models = ", ".join(sorted({report.model for report in reports})) or "?"
        devices = ", ".join(sorted({report.device for report in reports})) or "?"
        replicas = f"{len(reports)} replica{'' if len(reports) == 1 else 's'}"
        return Card(
            link=self.link,
            model=models,
            device=f"{devices} ({replicas})",
            good_for=(public.expires if public is not None else None) or GOOD_FOR,
            public_hint="" if public is not None else how_to_get_public_url(),
            tunnel=public.name if public is not None else "",
            speakers=self._speakers,
        )

    def stop(self) -> None:
        """Finish running sessions (up to ``stop_seconds``), then end replicas, Serve and Ray; again: nothing."""
        if not self._in_ray:
            return
        import ray
        from ray import serve

        try:
            Orders(self.url or None, ending=True).write(self.settings.data_dir)
            deadline = time.monotonic() + self.settings.stop_seconds + SPARE_SECONDS
            while not all(report.ended for report in self.replicas()) and time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
            self.close_tunnel()
            serve.shutdown()
        finally:
            ray.shutdown()
            self._in_ray = False

    def close_tunnel(self) -> None:
        """Take the public link down at once, and nothing else."""
        if self._tunnel is not None:
            self._tunnel.close()

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _speakers(self) -> str:
        """How many it carries, in words."""
        places = describe_capacity(sum(report.places for report in self.replicas()))
        return f"{'up to' if self.settings.max_sessions else 'about'} {places}"

    @property
    def _secret(self) -> str:
        chosen = chosen_token(self.settings.token)
        return chosen or (self._tester.secret if self._tester is not None else None) or ""

    def _start_ray(self, port: int, progress: ProgressCallback) -> None:
        progress("Starting Ray", None)
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # or Ray would tell its makers of this machine
        from ray import serve

        for name in ("ray", "ray.serve"):
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            start_ray(self._replicas)  # a part for each of what Ray shares out; threads share the cores themselves
            self._in_ray = True
            serve.start(proxy_location="HeadOnly", http_options={"host": self.settings.host, "port": port})
        except Exception as error:  # Ray raises nothing more exact
            raise self._not_started(error) from error
        progress("Starting Ray", 1.0)

    def _run(self, progress: ProgressCallback) -> None:
        """Deploy, and wait until all replicas are ready."""
        from ray import serve

        failed: list[BaseException] = []

        def deploy() -> None:
            try:
                serve.run(self._application(), name=NAME)
            except BaseException as error:  # told below, in the thread that waits
                failed.append(error)

        deploying = threading.Thread(target=deploy, name="openmic-deploy", daemon=True)
        deploying.start()
        while deploying.is_alive():
            ready = min(len(self.replicas()), self._replicas)
            progress(f"Loading {self._replicas} replicas", ready / self._replicas * 0.99)
            deploying.join(POLL_SECONDS)
        if failed:
            raise self._not_started(failed[0]) from failed[0]
        deadline = time.monotonic() + REPORTED_SECONDS  # the card tells how many they carry
        while len(self.replicas()) < self._replicas and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        progress(f"Loading {self._replicas} replicas", 1.0)

    def _application(self) -> Any:
        """What Serve is to run now."""
        import ray

        from openmic.cluster.application import application
        from openmic.speech.load import load_engine

        gpus = ray.cluster_resources().get("GPU", 0.0)
        return application(
            self._given,
            self._load or load_engine,
            num_replicas=self._replicas,
            ray_actor_options={"num_cpus": 1, "num_gpus": min(1.0, int(100 * gpus / self._replicas) / 100)},
            graceful_shutdown_timeout_s=self.settings.stop_seconds + SPARE_SECONDS,
        )

    def _lead_here_from(self, public_url: str) -> None:
        Orders(public_url).write(self.settings.data_dir)

    def _not_started(self, error: BaseException) -> OpenmicError:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        detail = (lines[-1] if lines else type(error).__name__).rstrip(".")
        return PROBLEMS.error("cluster_not_started", detail=detail, logs=f"{tempfile.gettempdir()}/ray/session_latest")

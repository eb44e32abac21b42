"""Model, server and tunnel as one object that starts and stops."""

from __future__ import annotations

import atexit
import concurrent.futures.thread  # noqa: F401  (see _at_exit)
import contextlib
import logging
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, get_args

from openmic.errors import OpenmicError
from openmic.log import Log, log_event
from openmic.notebook.card import Card
from openmic.notebook.dashboard import Dashboard
from openmic.notebook.output import in_colab, in_notebook
from openmic.notebook.progress import NotebookProgress
from openmic.notebook.status import SessionStatus, Status
from openmic.server.access.tokens import AccessToken, Use
from openmic.server.app import create_app
from openmic.server.problems import PROBLEMS as SERVER_PROBLEMS
from openmic.server.thread import ServerThread
from openmic.service.arguments import check_port, make_settings
from openmic.service.tokens import NewToken, ServiceTokens
from openmic.sessions.registry import Sessions
from openmic.sessions.snapshot import SessionSnapshot
from openmic.settings import Settings
from openmic.speech.engine.costs import describe_capacity
from openmic.speech.load import load_engine
from openmic.speech.types import Engine, ModelInfo
from openmic.terminal import TerminalProgress, complain
from openmic.tunnels import ReopeningTunnel, how_to_get_public_url, open_tunnel
from openmic.tunnels.redaction import redact

logger = logging.getLogger(__name__)


class _Progress(Protocol):
    def __call__(self, what: str, fraction: float | None) -> None: ...

    def close(self) -> None: ...


Part = Literal["server", "tunnel", "sessions", "engine"]

GOOD_FOR = "The link works while this service runs; a new start makes a new token."

_lock = threading.RLock()
_current: OpenMic | None = None


def launch(model: str = "auto", language: str | None = None, tunnel: str = "auto", **settings: Any) -> OpenMic:
    """Load Whisper, start the server, open the tunnel; an earlier service of this process is stopped first.

    Args:
        model: ``tiny`` ... ``turbo``, a path to a ``.pt`` file, or ``auto``.
        language: of sessions that name none (ISO 639-1); None: detect it.
        tunnel: ``auto``, ``ngrok``, ``cloudflare`` or ``none``.
        settings: any other field of ``Settings``. What is left at its default is looked up in the environment.

    Returns:
        The running service. Where only the tunnel failed, that is told and the service has a local link.

    Raises:
        OpenmicError: a setting cannot be used, the weights cannot be had, or the port is in use; nothing is left
            running then.
    """
    global _current
    chosen = make_settings(model=model, language=language, tunnel=tunnel, **settings)
    with _lock:
        stop_current()
        progress = _progress()
        mic = _current = OpenMic(chosen)
        try:
            mic._start(progress)
        except BaseException:
            stop_current()
            raise
        finally:
            progress.close()
    if in_notebook():
        _let_cells_run_loops()
    return mic


def stop_current() -> None:
    """Stop the service of this process, if one runs."""
    global _current
    with _lock:
        if _current is not None:
            _current.stop()
            _current = None


# Before concurrent.futures shuts its threads, which the server's last steps need: later than that (``atexit``) sessions
# cannot be finished. Callbacks run in reverse order, so that module must have registered its own first.
_at_exit: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
_at_exit(stop_current)


def _let_cells_run_loops() -> None:
    """Let a cell call ``asyncio.run`` on the client's coroutines while the kernel's loop runs; not needed here."""
    import nest_asyncio

    with contextlib.suppress(ValueError):  # the kernel's loop is uvloop, which cannot be patched
        nest_asyncio.apply()


def _progress() -> _Progress:
    return NotebookProgress() if in_notebook() else TerminalProgress()


class OpenMic:
    """A running service; ``launch`` makes it. As a context manager it stops at the end of the block.

    Attributes:
        settings: what it runs with.
        local_url, url: where it is on this machine, and for everybody (the same without a tunnel).
        token: the testers': what the link carries.
        owner_token: opens all sessions, their list and the metrics.
        link: ``url`` with the testers' token in its fragment, for people.
        speakers: how many it carries at once, in words.
        log_path: where the log is written; None where it is no file.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._tokens = ServiceTokens(settings)
        self._log: Log | None = None
        self._engine: Engine | None = None
        self._sessions: Sessions | None = None
        self._server: ServerThread | None = None
        self._tunnel: ReopeningTunnel | None = None
        self._stopping = threading.Lock()
        self._stop_begun = self._stopped = False
        self._left: list[Part] = [*get_args(Part)]  # to be closed, in this order: finals go out through the tunnel
        self.local_url = ""

    def _start(self, progress: _Progress) -> None:
        check_port(self.settings.host, self.settings.port)
        folder = self.settings.data_dir / "log"
        self._log = Log(self.settings.log_to, folder, words=self.settings.log_words, redact=redact)
        self._engine = load_engine(self.settings, progress)
        self._sessions = Sessions(self.settings, self._engine)
        self._sessions.warm_up()
        app = create_app(self.settings, self._sessions, self._tokens.keys)
        self._server = ServerThread(app, self.settings.host, self.settings.port)
        self._server.start()
        self.local_url = self._server.url.rstrip("/")
        info = self._engine.info
        log_event(logger, "service_started", port=self._server.port, model=info.name, device=info.device)
        try:
            self._open_tunnel(progress)
        except OpenmicError as error:
            progress.close()
            complain(error, sys.stdout)
            print("The service runs with its local link.")

    def _open_tunnel(self, progress: _Progress) -> None:
        assert self._server is not None
        server, port = self._server, self._server.port
        tunnel = open_tunnel(self.settings, port, progress)
        if tunnel is None:
            return

        def moved(url: str) -> None:
            server.announce_public_url(url)
            server.warn(SERVER_PROBLEMS.error("public_url_changed", url=url), url)

        server.announce_public_url(tunnel.public_url)
        kept = self._tunnel = ReopeningTunnel(tunnel, lambda: open_tunnel(self.settings, port), moved)
        server.watch(lambda: kept.problems)

    @property
    def token(self) -> str:
        """The testers' token, which the link carries."""
        return self._tokens.tester.get_secret_value()

    @property
    def owner_token(self) -> str:
        """The owner's, for everything."""
        return self._tokens.owner.get_secret_value()

    @property
    def log_path(self) -> Path | None:
        """Where the log is written; None where it is no file."""
        return self._log.path if self._log is not None else None

    def new_token(self, use: Use = "tester", seconds: float | None = None) -> NewToken:
        """Make one more token; ``mic.card(it)`` shows its link and QR code.

        Args:
            use: ``tester`` (speak, read one's own sessions) or ``owner`` (everything).
            seconds: its life; None: as long as the service runs.

        Raises:
            OpenmicError: ``bad_token_request``.
        """
        return self._tokens.new(self.url, use, seconds)

    def revoke(self, token: NewToken | AccessToken | str) -> None:
        """Take a token back, by itself, its id or its text: connections that came in with it end at once.

        Raises:
            OpenmicError: ``no_such_token``.
        """
        self._tokens.revoke(token)

    def tokens(self) -> tuple[AccessToken, ...]:
        """All tokens with use, life and whether they were revoked; without their secrets."""
        return self._tokens.keys.list()

    @property
    def url(self) -> str:
        """Where everybody finds it: the public URL, or the local one where there is none."""
        return self._tunnel.public_url if self._tunnel is not None else self.local_url

    @property
    def link(self) -> str:
        """For people: ``url`` with the token in its fragment, which browsers do not send."""
        return f"{self.url}/#token={self.token}"

    @property
    def running(self) -> bool:
        """Whether it answers."""
        return not self._stop_begun and self._server is not None

    @property
    def speakers(self) -> str:
        """How many it carries, in words: as measured ("about 4 speakers at once") or as set ("up to 2 ...")."""
        if self._sessions is None or self._engine is None:
            return ""
        measured = self._engine.capacity is not None and not self.settings.max_sessions
        return f"{'about' if measured else 'up to'} {describe_capacity(self._sessions.places)}"

    def card(self, token: NewToken | None = None) -> Card:
        """Link, QR code, and how long they are good for; of ``token``, if one is given, instead of the first one."""
        info = self._engine.info if self._engine is not None else None
        public = self._tunnel
        seconds = token.seconds if token is not None else self._tokens.link_seconds
        good_for = (public.expires if public is not None else None) or GOOD_FOR
        if seconds is not None:
            good_for = f"The link can begin something new for {_span(seconds)}. {good_for}"
        return Card(
            link=token.link if token is not None else self.link,
            model=info.name if info else "?",
            device=_called(info) if info else "?",
            good_for=good_for,
            public_hint="" if public is not None else how_to_get_public_url(),
            tunnel=public.name if public is not None else "",
            colab=in_colab(),
            speakers=self.speakers,
        )

    def dashboard(self, *, words: bool = False) -> Dashboard:
        """What it does right now, to display or to ``watch``.

        Args:
            words: whether what is saved in the notebook may hold what people said, too.
        """
        return Dashboard(self.status, self.stop, self.delete_recordings, words=words)

    def delete_recordings(self) -> int:
        """Delete sound and text of all ended sessions, before ``keep_seconds`` is over; returns how many there were."""
        return self._sessions.delete_ended() if self._sessions is not None else 0

    def status(self) -> Status:
        """A snapshot for whoever shows it; from any thread."""
        engine, sessions, tunnel = self._engine, self._sessions, self._tunnel
        stats = engine.stats() if engine is not None and self.running else None
        return Status(
            state="running" if self.running else "stopped",
            link=self.link if self.running else "",
            tunnel=_tunnel_line(tunnel),
            model=engine.info.name if engine is not None else "?",
            device=_called(engine.info) if engine is not None else "?",
            busy=stats.busy if stats else 0.0,
            step_seconds=stats.step_seconds if stats else 0.0,
            lag_seconds=stats.lag_seconds if stats else 0.0,
            memory_bytes=stats.memory_bytes if stats else None,
            sessions=tuple(_session(one) for one in reversed(sessions.list())) if sessions is not None else (),
            speakers=self.speakers,
            late=stats.late if stats else False,
            finals_held=stats.finals_held if stats else False,
            slowness=stats.slowness if stats else 1.0,
            problems=self._server.problems if self._server is not None and self.running else (),
            finals_waiting=stats.finals_waiting if stats else 0,
            finals_seconds=stats.finals_seconds if stats else 0.0,
        )

    def stop(self) -> None:
        """Finish running sessions (up to ``settings.stop_seconds``), then close everything. Again: does nothing.

        Interrupted (Ctrl-C), it waits no longer for what it was waiting for and closes the rest; again, it closes what
        the interruption left.
        """
        with self._stopping:
            if self._stopped:
                return
            self._stop_begun = True
            log_event(logger, "service_stopping")
            self._close()
            if self._left:
                return
            self._stopped = True
            log_event(logger, "service_stopped")
            if self._log is not None:
                self._log.close()

    def _close(self) -> None:
        """Close all parts that are left, the others also where closing one fails or is interrupted.

        Raises:
            BaseException: the interruption (KeyboardInterrupt), once all have been tried.
        """
        interruption: BaseException | None = None
        for name in self._left[:]:
            try:
                self._close_part(name, hurry=interruption is not None)
                self._left.remove(name)
            except Exception:
                log_event(logger, "service_fault", logging.ERROR, part=name)
            except BaseException as failure:  # no public link may stay, and no full GPU
                interruption = failure
        if interruption is not None:
            raise interruption

    def _close_part(self, name: Part, *, hurry: bool) -> None:
        match name:
            case "server" if self._server is not None:
                self._server.stop()
            case "tunnel" if self._tunnel is not None:
                self._tunnel.close()
            case "sessions" if self._sessions is not None:
                self._sessions.close(0.0 if hurry else None)
            case "engine" if self._engine is not None:
                self._engine.close()

    def close_tunnel(self) -> None:
        """Take the public link down at once, and nothing else."""
        if self._tunnel is not None:
            self._tunnel.close()

    def __enter__(self) -> OpenMic:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        if self._stop_begun and not self._stopped:
            return "<OpenMic stopping; stop() again closes what is left>"
        return f"<OpenMic {'running at ' + self.url if self.running else 'stopped'}>"

    def _repr_html_(self) -> str:
        return self.card()._repr_html_()


def _tunnel_line(tunnel: ReopeningTunnel | None) -> str:
    if tunnel is None:
        return ""
    if tunnel.alive():
        return tunnel.name
    return f"{tunnel.name} has stopped: the public link is being opened again. {tunnel.problem}".strip()


def _called(info: ModelInfo) -> str:
    """A device as people call it: ``cpu``, or the GPU's name."""
    return info.device if info.device == "cpu" else info.device_name


def _span(seconds: float) -> str:
    """A time as people say it."""
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"


def _session(one: SessionSnapshot) -> SessionStatus:
    return SessionStatus(
        session_id=one.id,
        state=one.state.value,
        attached=one.attached,
        audio_seconds=one.audio_seconds,
        lag_seconds=one.lag,
        committed_text=one.committed_text,
        live_text=one.live_text,
        final_text=one.final.text if one.final is not None else None,
        problem=one.error.what if one.error is not None else "",
    )

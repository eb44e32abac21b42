"""Model, server and tunnel as one object that starts and stops."""

from __future__ import annotations

import concurrent.futures.thread  # noqa: F401  (see _at_exit)
import logging
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

from openmic.client import Result
from openmic.errors import OpenmicError
from openmic.log import Log, log_event
from openmic.notebook.capacity import CapacityPicture
from openmic.notebook.card import Card
from openmic.notebook.dashboard import Dashboard
from openmic.notebook.microphone.listening import listen
from openmic.notebook.microphone.microphone import Microphone, Place
from openmic.notebook.output import in_colab, in_notebook
from openmic.notebook.sample import stream_sample
from openmic.notebook.serving import somebody_is_there
from openmic.notebook.status import Status
from openmic.notebook.view import STOPPED, NotebookView
from openmic.progress import ShownProgress
from openmic.server.access.tokens import AccessToken, Use
from openmic.server.app import create_app
from openmic.server.problems import PROBLEMS as SERVER_PROBLEMS
from openmic.server.thread import ServerThread
from openmic.service.arguments import check_port
from openmic.service.parts import Parts
from openmic.service.status import capacity_picture, device_called, read_status
from openmic.service.tokens import NewToken, ServiceTokens
from openmic.sessions.registry import Sessions
from openmic.settings import Settings
from openmic.speech.engine.costs import describe_capacity
from openmic.speech.load import load_engine
from openmic.terminal import complain
from openmic.tunnels import (
    Authtoken,
    AuthtokenMissing,
    ReopeningTunnel,
    how_to_get_public_url,
    look_for_authtoken,
    open_tunnel,
)
from openmic.tunnels.redaction import redact

logger = logging.getLogger(__name__)


GOOD_FOR = "The link works while this service runs; a new start makes a new token."


class OpenMic:
    """A running service; ``launch`` makes and starts it. As a context manager it stops at the end of the block.

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
        self._parts = Parts()
        self._authtoken: Authtoken | None = None
        self._view = NotebookView(self.status, self.end, self.delete_recordings)
        self._started_at = time.time()
        self._microphone: Microphone | None = None
        self._stopping = threading.Lock()
        self._stop_begun = self._stopped = False
        self.local_url = ""

    def start(self, progress: ShownProgress) -> None:
        """Load the model, start the server, open the tunnel; a tunnel that fails is told, and the service goes on.

        Raises:
            OpenmicError: as ``launch``.
        """
        check_port(self.settings.host, self.settings.port)
        self._authtoken = look_for_authtoken(self.settings)
        folder = self.settings.data_dir / "log"
        self._log = Log(self.settings.log_to, folder, words=self.settings.log_words, redact=redact)
        self._parts.engine = load_engine(self.settings, progress)
        self._parts.sessions = Sessions(self.settings, self._parts.engine)
        self._parts.sessions.warm_up()
        app = create_app(self.settings, self._parts.sessions, self._tokens.keys)
        self._parts.server = ServerThread(app, self.settings.host, self.settings.port)
        self._parts.server.start()
        self.local_url = self._parts.server.url.rstrip("/")
        info = self._parts.engine.info
        log_event(logger, "service_started", port=self._parts.server.port, model=info.name, device=info.device)
        try:
            self._open_tunnel(progress)
        except OpenmicError as error:
            progress.close()
            complain(error, sys.stdout)
            print("The service runs with its local link.")

    def _open_tunnel(self, progress: ShownProgress) -> None:
        assert self._parts.server is not None
        server, port = self._parts.server, self._parts.server.port
        authtoken = self._authtoken
        tunnel = open_tunnel(self.settings, port, progress, authtoken)
        if tunnel is None:
            if isinstance(authtoken, AuthtokenMissing) and authtoken.problem == "colab_secret_timeout":
                print(f"No public link: {authtoken.error().what}")
            return

        def moved(url: str) -> None:
            server.announce_public_url(url)
            server.warn(SERVER_PROBLEMS.error("public_url_changed", url=url), url)

        server.announce_public_url(tunnel.public_url)
        kept = self._parts.tunnel = ReopeningTunnel(
            tunnel, lambda: open_tunnel(self.settings, port, authtoken=authtoken), moved
        )
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
        return self._parts.tunnel.public_url if self._parts.tunnel is not None else self.local_url

    @property
    def link(self) -> str:
        """For people: ``url`` with the token in its fragment, which browsers do not send."""
        return f"{self.url}/#token={self.token}"

    @property
    def running(self) -> bool:
        """Whether it answers."""
        return not self._stop_begun and self._parts.server is not None

    @property
    def speakers(self) -> str:
        """How many it carries, in words: as measured ("about 4 speakers at once") or as set ("up to 2 ...")."""
        if self._parts.sessions is None or self._parts.engine is None:
            return ""
        measured = self._parts.engine.capacity is not None and not self.settings.max_sessions
        return f"{'about' if measured else 'up to'} {describe_capacity(self._parts.sessions.places)}"

    def card(self, token: NewToken | None = None) -> Card:
        """Link, QR code, and how long they are good for; of ``token``, if one is given, instead of the first one."""
        info = self._parts.engine.info if self._parts.engine is not None else None
        public = self._parts.tunnel
        seconds = token.seconds if token is not None else self._tokens.link_seconds
        good_for = (public.expires if public is not None else None) or GOOD_FOR
        if seconds is not None:
            good_for = f"The link can begin something new for {_span(seconds)}. {good_for}"
        card = Card(
            link=token.link if token is not None else self.link,
            model=info.name if info else "?",
            device=device_called(info) if info else "?",
            good_for=good_for,
            public_hint="" if public is not None else how_to_get_public_url(),
            tunnel=public.name if public is not None else "",
            colab=in_colab(),
            speakers=self.speakers,
        )
        return self._view.card(card)

    def microphone(self) -> Microphone:
        """A card to speak into, in the notebook itself; its ``result`` is what was said. The same one at each call.

        Where nobody can speak (papermill, nbconvert), the sample recording is streamed in the voice's place.

        Raises:
            OpenmicError: any of the client's problems, where the sample is streamed.
        """
        if self._microphone is None:
            key = self.new_token()
            place = Place(self.local_url, key.token, lambda: self.link, self._wait_for, self.settings.idle_seconds)
            self._microphone = Microphone(place, lambda: self.revoke(key))
        if not somebody_is_there():
            self._microphone.play(lambda: stream_sample(f"{self.local_url}/#token={self.token}"))
        return self._microphone

    def _wait_for(self, session_id: str) -> None:
        if self._parts.sessions is not None:
            self._parts.sessions.wait_for(session_id)

    def listen(self, seconds: float | None = None) -> Result:
        """In Colab: a cell that records until Stop is pressed, and gives the final text.

        Args:
            seconds: the longest recording.

        Raises:
            OpenmicError: ``listen_elsewhere``, ``microphone_refused``, or what the service said.
        """
        voice = self.microphone()
        return listen(voice, seconds) if somebody_is_there() else voice.result

    def dashboard(self, *, words: bool = False) -> Dashboard:
        """What it does right now, to display: one for the service, however often it is asked for.

        Args:
            words: whether it shows what people say, too, which is saved with the notebook then; a button changes it.
        """
        self._view.dashboard.show_words(words)
        return self._view.dashboard

    def capacity(self) -> CapacityPicture:
        """How many can speak at once on this device, to display: with this model as measured, with others estimated."""
        return capacity_picture(self._parts.engine, self.settings.max_sessions or 0)

    def delete_recordings(self) -> int:
        """Delete sound and text of all ended sessions, before ``keep_seconds`` is over; returns how many there were."""
        return self._parts.sessions.delete_ended() if self._parts.sessions is not None else 0

    def status(self) -> Status:
        """A snapshot to be displayed; from any thread."""
        state = "running" if self.running else "stopping" if self._stop_begun and not self._stopped else "stopped"
        parts = (self._parts.engine, self._parts.sessions, self._parts.server, self._parts.tunnel)
        return read_status(state, self.link, self.speakers, self._started_at, *parts)

    async def serve(self, seconds: float | None = None) -> None:
        """Stay in the running cell and keep the service on: ``await mic.serve()``.

        The dashboard moves beneath it, and buttons and the microphone are answered while it runs. Pressing Stop or
        interrupting the cell ends the service: what was said gets its final text, then the link closes.

        Args:
            seconds: the longest stay, after which the service goes on; None: without end, but for 10 s where nobody
                could press anything (papermill).
        """
        await self._view.serve(seconds)

    def stop(self) -> None:
        """Finish running sessions (up to ``settings.stop_seconds``), then close everything. Again: does nothing.

        Interrupted (Ctrl-C), it waits no longer for what it was waiting for and closes the rest; again, it closes what
        the interruption left.
        """
        ended = self.end()
        self._view.end()
        if ended and in_notebook():
            print(STOPPED)

    def end(self) -> bool:
        """Stop, and show nothing of it; whether it was running until now."""
        with self._stopping:
            if self._stopped:
                return False
            self._stop_begun = True
            log_event(logger, "service_stopping")
            self._parts.close()
            if self._microphone is not None:
                self._microphone.close()
            if self._parts.left:
                return False
            self._stopped = True
            log_event(logger, "service_stopped")
            if self._log is not None:
                self._log.close()
        return True

    def close_tunnel(self) -> None:
        """Take the public link down at once, and nothing else."""
        if self._parts.tunnel is not None:
            self._parts.tunnel.close()

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

    def _ipython_display_(self) -> None:
        self.card()._ipython_display_()


def _span(seconds: float) -> str:
    """A time as people say it."""
    for size, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {name}"
    return f"{seconds:.0f} seconds"

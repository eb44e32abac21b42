"""The microphone in the notebook: what the card's posts are answered with, and what was said in the end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from anyio.from_thread import start_blocking_portal

from openmic.client.link import parse_link
from openmic.client.result import Message, Result
from openmic.errors import OpenmicError
from openmic.notebook.microphone.display import TEXT, comm_html, make_widget
from openmic.notebook.microphone.posts import Buffers, Post, frames_of
from openmic.notebook.microphone.problems import PROBLEMS
from openmic.notebook.microphone.recording import Recording
from openmic.notebook.microphone.relay import BROKEN, QUIET_SECONDS, Relay
from openmic.notebook.output import in_colab

WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
FINAL_SECONDS = 600.0  # the longest wait for a final text whose audio has all arrived
GONE_SECONDS = 3.0  # a card in use posts several times a second: one that says nothing while another says hello is gone
KEPT_RECORDINGS = 8
GOING_AWAY = 1001  # the close code of a service that ends
PLAYED = "Nobody can speak where this notebook runs, so the sample recording was streamed instead:"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the service is, seen from the kernel.

    Attributes:
        url: of the service on this machine, such as ``http://127.0.0.1:8000``.
        token: for this microphone alone; the page gets it in a message, never in what is saved.
        link: a link that opens the page in a tab of its own; "" where there is none that the reader could open.
        wait_for: has the service wait for a session whose words the kernel cannot take at the moment; gets its name.
        idle_seconds: after which silence the service gives a session up.
    """

    url: str
    token: str = field(repr=False)
    link: Callable[[], str] = lambda: ""
    wait_for: Callable[[str], None] = lambda session_id: None
    idle_seconds: float = 60.0


class Microphone:
    """Displays itself as a card to speak into; ``result`` is what was said.

    Its handlers wait for nothing and may be called from any thread. It tells the front end nothing of its own accord:
    a message that answers nothing would not be drawn in Colab.

    Args:
        place: where the service is.
        closed: called once by ``close``.

    Attributes:
        recordings: how many were begun.
    """

    def __init__(self, place: Place, closed: Callable[[], None] = lambda: None) -> None:
        self._place = place
        self._address = parse_link(place.url, place.token)
        self._when_closed = closed
        self._lock = threading.Lock()
        self._relays: dict[tuple[str, int], Relay] = {}
        self._next: dict[tuple[str, int], int] = {}
        self._direct: dict[str, Recording] = {}  # by page: sessions whose frames do not come through here
        self._recordings: deque[Recording] = deque(maxlen=KEPT_RECORDINGS)
        self._ended = contextlib.ExitStack()
        self._portal = self._ended.enter_context(start_blocking_portal(name="openmic-client"))
        self.recordings = 0
        self._widget: Any = None
        self._closed = self._played = False

    @property
    def result(self) -> Result:
        """The final text of the last recording, as ``stream_sample`` gives it.

        Raises:
            OpenmicError: ``nothing_spoken``, ``still_speaking``, ``no_final_text``, or what the service said.
        """
        if not self._recordings:
            raise PROBLEMS.error("nothing_spoken")
        last = self._recordings[-1]
        if last.stopped:
            last.over.wait(FINAL_SECONDS)
        if not last.over.is_set():
            raise PROBLEMS.error("still_speaking")
        if last.result is not None:
            return last.result
        raise last.problem or PROBLEMS.error("no_final_text")

    def json(self) -> str:
        """The last recording's ``final`` message as JSON; as long as there is none, why."""
        try:
            return self.result.json()
        except OpenmicError as error:
            return f"{error.message} {error.hint}"

    def close(self) -> None:
        """Nobody speaks here any more; what was said gets its final text. Again: does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for key in list(self._relays):
            self._close(key)
        self._ended.close()
        self._when_closed()

    def play(self, sample: Callable[[], Result]) -> None:
        """Take what ``sample`` gives for what was said: where nobody can speak."""
        recording = Recording()
        recording.result = sample()
        recording.over.set()
        self._append(recording)
        self._played = True

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        if self._played:
            return {"text/plain": f"{PLAYED} {self.result.text.strip()}"}
        if in_colab():
            return {"text/html": comm_html(self.answer), "text/plain": TEXT}
        if self._widget is None:
            self._widget = make_widget(self.answer)
        view = {"version_major": 2, "version_minor": 0, "model_id": self._widget.model_id}
        return {WIDGET_VIEW: view, "text/plain": TEXT}

    def answer(self, post: Post, buffers: Buffers = ()) -> Post | None:
        """Handle one post of a card (``posts.py``); gives what is to be sent back, if anything is."""
        page = str(post["page"])
        match post["kind"]:
            case "hello":
                self._look_for_pages_that_are_gone(page)
                return self._hello(page, buffers)
            case "post":
                return self._post(page, post, buffers)
            case "close":
                self._close((page, post["socket"]))
            case "told":
                self._told(page, post["message"])
            case "leave":
                self._leave(page)
        return None

    def _hello(self, page: str, buffers: Buffers) -> Post:
        return {
            "kind": "hello",
            "page": page,
            "port": urlsplit(self._place.url).port,
            "token": self._place.token,
            "link": self._place.link(),
            "probe": sum(len(buffer) for buffer in buffers),
        }

    def _post(self, page: str, post: Post, buffers: Buffers) -> Post:
        key, n = (page, int(post["socket"])), int(post["n"])
        answer = {"kind": "post", "page": page, "socket": key[1], "n": n}
        with self._lock:
            if n == 1 and not self._closed:
                quiet_seconds = min(QUIET_SECONDS, self._place.idle_seconds / 3)
                self._relays[key] = Relay(self._portal, self._address, self._begin, self._place.wait_for, quiet_seconds)
                self._next[key] = 1
            relay = self._relays.get(key)
            in_order = self._next.get(key) == n
            self._next[key] = n + 1
        if self._closed:
            return {**answer, "first": 0, "frames": [], "closed": [GOING_AWAY, ""]}
        if relay is None or not in_order:  # something was lost on the way: the page resumes its session
            self._close(key)
            return {**answer, "first": 0, "frames": [], "closed": [BROKEN, ""]}
        taken = relay.take(frames_of(post, buffers))
        if taken.closed is not None:
            self._relays.pop(key, None)
        return {**answer, "first": taken.first, "frames": taken.frames, "closed": taken.closed}

    def _close(self, key: tuple[str, int]) -> None:
        relay = self._relays.pop(key, None)
        if relay is not None:
            relay.close()

    def _begin(self, message: Message) -> Recording:
        if message["type"] == "resume":
            for recording in self._recordings:
                if recording.session_id == message["session_id"]:
                    return recording
        recording = Recording()
        self._append(recording)
        return recording

    def _append(self, recording: Recording) -> None:
        self._recordings.append(recording)
        self.recordings += 1

    def _told(self, page: str, message: Message) -> None:
        """A message of a session that goes another way: over a WebSocket of the browser's own."""
        if message["type"] in ("start", "resume"):
            self._direct[page] = self._begin(message)
        recording = self._direct.get(page)
        if recording is not None:
            recording.on_message(message)

    def _leave(self, page: str) -> None:
        for key, relay in list(self._relays.items()):
            if key[0] == page:
                relay.leave()

    def _look_for_pages_that_are_gone(self, page: str) -> None:
        for key, relay in list(self._relays.items()):
            if key[0] != page and time.monotonic() - relay.taken_at > GONE_SECONDS:
                relay.leave()

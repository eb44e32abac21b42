"""What one person says into the card: which session it is, and how it ends."""

from __future__ import annotations

import threading

from openmic.client.problems import from_wire
from openmic.client.result import Message, Result
from openmic.errors import OpenmicError


class Recording:
    """Follows the messages of one session; from any thread.

    Attributes:
        session_id: its name at the service, once that is known; "" before.
        stopped: whether all that was said has been sent, so that the final text comes without the page.
        over: set when nothing more will come.
        result: the final text, once it is there.
        problem: why there is none, where the service said so.
    """

    def __init__(self) -> None:
        self.session_id = ""
        self.stopped = False
        self.over = threading.Event()
        self.result: Result | None = None
        self.problem: OpenmicError | None = None

    def sent(self, message: Message) -> None:
        """Take note of what the page told the service."""
        if message.get("type") == "stop":
            self.stopped = True

    def on_message(self, message: Message) -> None:
        """Take note of what the service told the page."""
        match message.get("type"):
            case "ready":
                self.session_id = str(message["session_id"])
            case "final":
                self.result = Result.from_message(message, self.session_id)
                self.over.set()
            case "error" if message.get("fatal"):
                self.problem = from_wire(message)
                self.over.set()
            case "done":
                self.over.set()

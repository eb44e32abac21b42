"""What a server has said to a client, message by message, and how it said goodbye."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.support.waiting import PATIENCE_SECONDS

Json = dict[str, Any]


class Conversation(ABC):
    """One client's.

    Attributes:
        messages: all that came so far.
        close_code: of the connection, once it is closed; None: it has none.
    """

    def __init__(self) -> None:
        self.messages: list[Json] = []
        self.close_code: int | None = None

    @abstractmethod
    def receive(self) -> Json | None:
        """The next message as it comes; None once closed."""

    def hear(self) -> Json | None:
        """The next message; None once closed."""
        message = self.receive()
        if message is not None:
            self.messages.append(message)
        return message

    def hear_where(self, wanted: Callable[[Json], object]) -> Json:
        """The next message that is wanted."""
        while (message := self.hear()) is not None:
            if wanted(message):
                return message
        raise AssertionError(f"closed with {self.close_code}: {self.messages}")

    def hear_until(self, kind: str) -> Json:
        """The next message whose type is ``kind``, or ends with it."""
        return self.hear_where(lambda message: message["type"].endswith(kind))

    def hear_out(self) -> int | None:
        """All that comes; then the close code."""
        while self.hear() is not None:
            pass
        return self.close_code


class SocketConversation(Conversation):
    """Over a WebSocket, in JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__()
        self.connection = connection

    def receive(self) -> Json | None:
        """The next message; 1006 is the close code where there was no goodbye."""
        try:
            message: Json = json.loads(self.connection.recv(PATIENCE_SECONDS))
        except ConnectionClosed as closed:
            self.close_code = closed.rcvd.code if closed.rcvd is not None else 1006
            return None
        return message

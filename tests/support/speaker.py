"""A client of ``openmic.v1`` that a test moves from one server to another, and that believes nothing.

It raises where a server asks for bytes that were acknowledged, counts wrongly, or tells the same number differently.
"""

from __future__ import annotations

import json
import time
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.support.killed_server import TOKEN, KilledServer
from tests.support.waiting import PATIENCE_SECONDS

PIECE_BYTES = 3200  # 0.1 s
COUNTED = ("commit", "final", "done")
Json = dict[str, Any]


class Closed(Exception):
    """The server has closed the connection.

    Attributes:
        code: with which; None: it broke.
    """

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Speaker:
    """One stream of raw 16 kHz samples.

    Attributes:
        data: all that it has to say.
        acknowledged: how many bytes of it a server has confirmed.
        counted: what it was told for good, by its number.
        session_id: its session's name; "" before it has one.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.acknowledged = 0
        self.counted: dict[int, Json] = {}
        self.session_id = ""
        self.socket: ClientConnection | None = None
        self._token = ""
        self._sent = 0

    def begin_or_resume(self, server: KilledServer) -> None:
        """Connect to a server, whatever becomes of the connection before.

        Raises:
            Closed: it was not let in.
        """
        url = f"ws://127.0.0.1:{server.port}/v1/stream"
        self.socket = connect(url, open_timeout=PATIENCE_SECONDS).__enter__()  # left in the order that a test wants
        if self.session_id:
            resume = {"session_id": self.session_id, "resume_token": self._token, "after_seq": len(self.counted)}
            self._say({"type": "resume", "token": TOKEN, **resume})
        else:
            sound = {"encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1}
            self._say({"type": "start", "token": TOKEN, **sound})
        ready = self.hear_until("ready")
        assert ready["received_bytes"] >= self.acknowledged, "acknowledged bytes are asked for again"
        self.session_id, self._token = ready["session_id"], ready["resume_token"]
        self.acknowledged = self._sent = ready["received_bytes"]

    def insist(self, server: KilledServer) -> float:
        """Try again until a server lets it in; gives the seconds that this took."""
        began = time.monotonic()
        while True:
            try:
                self.begin_or_resume(server)
                return time.monotonic() - began
            except Closed as closed:
                if closed.code not in (1012, None) or time.monotonic() - began > PATIENCE_SECONDS:
                    raise

    def speak_to(self, offset: int) -> None:
        """Say everything before ``offset``, and wait until it is acknowledged.

        Raises:
            Closed: the connection is.
        """
        self.send_to(offset)
        while self.acknowledged < offset:
            self.hear()

    def send_to(self, offset: int) -> None:
        """Say everything before ``offset``; whether anybody hears it is another question."""
        while self._sent < offset:
            piece = self.data[self._sent : min(self._sent + PIECE_BYTES, offset)]
            self._send(piece)
            self._sent += len(piece)

    def stop(self) -> None:
        """No more will come."""
        self._say({"type": "stop"})

    def hear(self) -> Json:
        """The next message.

        Raises:
            Closed: the connection is.
        """
        assert self.socket is not None
        try:
            message: Json = json.loads(self.socket.recv(PATIENCE_SECONDS))
        except ConnectionClosed as closed:
            raise Closed(closed.rcvd.code if closed.rcvd is not None else None) from closed
        if message["type"] == "ack":
            self.acknowledged = max(self.acknowledged, message["received_bytes"])
        if message["type"] in COUNTED:
            told = self.counted.setdefault(message["seq"], message)
            assert told == message, "the same number was told differently"
            assert sorted(self.counted) == [*range(1, len(self.counted) + 1)], "a number was left out"
        return message

    def hear_until(self, kind: str) -> Json:
        """The next message of a kind."""
        while (message := self.hear())["type"] != kind:
            pass
        return message

    def hear_out(self) -> int | None:
        """All that comes; then the close code."""
        try:
            while True:
                self.hear()
        except Closed as closed:
            return closed.code

    def hang_up(self) -> None:
        """Go, without a word."""
        if self.socket is not None:
            self.socket.close_socket()

    @property
    def words(self) -> str:
        """What was committed."""
        return "".join(one["text"] for one in self.counted.values() if one["type"] == "commit")

    @property
    def final(self) -> Json:
        """The final, which must have been the last but one."""
        kinds = [self.counted[number]["type"] for number in sorted(self.counted)]
        assert kinds[-2:] == ["final", "done"], kinds
        assert kinds.count("final") == 1
        return self.counted[len(self.counted) - 1]

    def _say(self, message: Json) -> None:
        self._send(json.dumps(message))

    def _send(self, frame: str | bytes) -> None:
        assert self.socket is not None
        try:
            self.socket.send(frame)
        except ConnectionClosed as closed:
            raise Closed(closed.rcvd.code if closed.rcvd is not None else None) from closed

"""One small client for each dialect that streams, all used alike: for tests that every dialect must pass."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol

import numpy as np
from websockets.sync.client import ClientConnection, connect

from tests.support.conversation import Conversation, Json, SocketConversation
from tests.support.scripted_engine import ScriptedServer
from tests.support.waiting import PATIENCE_SECONDS

RAW = "encoding=linear16&sample_rate=16000"
LISTEN, FLUX, ASSEMBLY = f"/v1/listen?{RAW}", f"/v2/listen?{RAW}", "/v3/ws?sample_rate=16000"
TRANSCRIPTION = "conversation.item.input_audio_transcription."


@dataclass(frozen=True)
class Wire:
    """What a test has to know of a dialect's WebSocket.

    Attributes:
        path: with the query for raw samples of ``rate`` Hz.
        first: messages that the client begins with.
        ready: the type of the message that says audio may come; None: nothing is said.
        keepalive, flush, stop: control messages; None: the dialect has none.
        scheme: of the ``Authorization`` header, with its space.
        container: what begins a stream whose format the server finds out: a path and a first message.
        words: the committed words among messages, in the order of their saying.
        code: what an error message calls its error; None: the message is no error.
    """

    path: str
    words: Callable[[Sequence[Json]], list[str]]
    code: Callable[[Json], str | int | None]
    first: Sequence[Json] = ()
    ready: str | None = None
    keepalive: str = '{"type": "KeepAlive"}'
    flush: Json | None = None
    stop: str | None = None
    scheme: str = "Bearer "
    rate: int = 16_000
    container: tuple[str, Sequence[Json]] | None = None
    frame: Callable[[bytes], str | bytes] = field(default=bytes)


class DialectClient(Protocol):
    """One client that streams."""

    messages: list[Json]
    close_code: int | None

    def begin(self) -> None:
        """Say what comes, and wait until it may."""

    def speak(self, data: bytes) -> None:
        """Send samples."""

    def send(self, data: str | bytes) -> None:
        """Send anything."""

    def finish(self) -> None:
        """Say goodbye, and hear all that comes behind it."""

    def hear_where(self, wanted: Callable[[Json], object]) -> Json:
        """The next message that is wanted."""

    def hear_out(self) -> int | None:
        """All that comes; then the close code, where there is one."""

    def hang_up(self, *, deaf: bool) -> None:
        """End the TCP connection without a goodbye; ``deaf``: what the server still says is answered by a reset."""


class SocketClient(SocketConversation):
    """A client of a dialect that is spoken over WebSockets."""

    def __init__(self, connection: ClientConnection, wire: Wire, first: Sequence[Json]) -> None:
        super().__init__(connection)
        self._wire = wire
        self._first = first

    def begin(self) -> None:
        for message in self._first:
            self.send(json.dumps(message))
        if self._wire.ready is not None:
            self.hear_where(lambda message: message["type"] == self._wire.ready)

    def speak(self, data: bytes) -> None:
        self.send(self._wire.frame(data))

    def send(self, data: str | bytes) -> None:
        self.connection.send(data)

    def finish(self) -> None:
        if self._wire.stop is not None:
            self.send(self._wire.stop)
            self.hear_out()
            return
        self.send(json.dumps(self._wire.flush))  # Realtime has no goodbye: what was said is complete, and it closes
        self.hear_where(lambda message: message["type"] == TRANSCRIPTION + "completed")
        self.connection.close()
        self.close_code = 1000

    def hang_up(self, *, deaf: bool) -> None:
        _cut(self.connection.socket, deaf=deaf)


class WyomingClient(Conversation):
    """A client of the Wyoming protocol."""

    def __init__(self, connection: socket.socket, stream: BinaryIO) -> None:
        super().__init__()
        self.connection = connection
        self._stream = stream

    def begin(self) -> None:
        self._event("audio-start", rate=16_000, width=2, channels=1)

    def speak(self, data: bytes) -> None:
        self._event("audio-chunk", data, rate=16_000, width=2, channels=1)

    def send(self, data: str | bytes) -> None:
        self.connection.sendall(data.encode(errors="surrogatepass") if isinstance(data, str) else data)

    def finish(self) -> None:
        self._event("audio-stop")
        self.hear_where(lambda message: message["type"] == "transcript")

    def receive(self) -> Json | None:
        """The next event as a message; None once closed."""
        try:
            head = json.loads(self._stream.readline() or "null")
            data = json.loads(self._stream.read(head["data_length"])) if head is not None else None
        except ConnectionError:
            return None
        return None if head is None else {"type": head["type"], "data": data}

    def hang_up(self, *, deaf: bool) -> None:
        _cut(self.connection, deaf=deaf)

    def _event(self, kind: str, payload: bytes = b"", **data: object) -> None:
        self.send(json.dumps({"type": kind, "data": data, "payload_length": len(payload)}).encode() + b"\n" + payload)


def _cut(raw: socket.socket, *, deaf: bool) -> None:
    raw.shutdown(socket.SHUT_RDWR if deaf else socket.SHUT_WR)


# --- the wires


def _texts(pieces: Sequence[str]) -> list[str]:
    return " ".join(pieces).split()


def _append(data: bytes) -> str:
    return json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(data).decode()})


def _turns_of_flux(messages: Sequence[Json]) -> list[str]:
    return _texts([one["transcript"] for one in messages if one.get("event") == "EndOfTurn"])


def _final_results(messages: Sequence[Json]) -> list[str]:
    finals = [one for one in messages if one["type"] == "Results" and one["is_final"]]
    return _texts([one["channel"]["alternatives"][0]["transcript"] for one in finals])


def _tokens(messages: Sequence[Json]) -> list[str]:
    tokens = [token for one in messages for token in one["tokens"] if token["is_final"]]
    return _texts([token["text"] for token in tokens if not token["text"].startswith("<")])


SAMPLES = {"encoding": "pcm_s16le", "sample_rate": 16_000}
SONIOX = {"model": "stt-rt", "audio_format": "pcm_s16le", "sample_rate": 16_000, "num_channels": 1}
WIRES: Mapping[str, Wire] = {
    "native": Wire(
        "/v1/stream",
        lambda messages: _texts([one["text"] for one in messages if one["type"] == "commit"]),
        lambda one: one["code"] if one["type"] == "error" else None,
        [{"type": "start", **SAMPLES}],
        "ready",
        keepalive='{"type": "ping"}',
        stop='{"type": "stop"}',
        container=("/v1/stream", [{"type": "start"}]),
    ),
    "realtime": Wire(
        "/v1/realtime",
        lambda messages: "".join(one["delta"] for one in messages if one["type"] == TRANSCRIPTION + "delta").split(),
        lambda one: one["error"]["code"] if one["type"] == "error" else None,
        [
            {
                "type": "session.update",
                "session": {"type": "transcription", "audio": {"input": {"turn_detection": None}}},
            }
        ],
        "session.updated",
        keepalive='{"type": "session.update", "session": {"type": "transcription"}}',
        flush={"type": "input_audio_buffer.commit"},
        rate=24_000,
        frame=_append,
    ),
    "listen": Wire(
        LISTEN,
        _final_results,
        lambda one: one["message"] if one["type"] == "Error" else None,
        stop='{"type": "CloseStream"}',
        scheme="Token ",
        container=("/v1/listen", []),
    ),
    "flux": Wire(
        FLUX,
        _turns_of_flux,
        lambda one: one["code"].lower() if one["type"] in ("Error", "Warning") else None,
        ready="Connected",
        stop='{"type": "CloseStream"}',
        scheme="Token ",
        container=("/v2/listen", []),
    ),
    "assemblyai": Wire(
        ASSEMBLY,
        lambda messages: _texts([one["transcript"] for one in messages if one.get("end_of_turn")]),
        lambda one: {"Error": one.get("error_code"), "Warning": one.get("warning_code")}.get(one["type"]),
        ready="Begin",
        stop='{"type": "Terminate"}',
        scheme="",
        container=("/v3/ws?encoding=aac", []),
    ),
    "soniox": Wire(
        "/transcribe-websocket",
        _tokens,
        lambda one: one.get("error_code"),
        [SONIOX],
        keepalive='{"type": "keepalive"}',
        stop="",
        container=("/transcribe-websocket", [SONIOX | {"audio_format": "auto"}]),
    ),
}
WYOMING = "wyoming"
NAMES = (*WIRES, WYOMING)


@contextmanager
def client_of(
    server: ScriptedServer, name: str, token: str | None = "secret", *, container: bool = False
) -> Iterator[DialectClient]:
    """A client that has connected and said nothing yet; ``container``: of audio whose format the server finds out.

    Raises:
        InvalidStatus: the handshake is refused.
    """
    if name == WYOMING:
        (listener,) = server.thread._app.state.listeners
        with (
            socket.create_connection(("127.0.0.1", listener.port), PATIENCE_SECONDS) as raw,
            raw.makefile("rb") as stream,
        ):
            yield WyomingClient(raw, stream)
        return
    wire = WIRES[name]
    path, first = wire.container if container and wire.container else (wire.path, wire.first)
    headers = {"Authorization": wire.scheme + token} if token is not None else {}
    address = server.stream_url.replace("/v1/stream", path)
    with connect(
        address, additional_headers=headers, max_size=None, open_timeout=PATIENCE_SECONDS, close_timeout=1.0
    ) as connection:
        yield SocketClient(connection, wire, first)


def tone(name: str, seconds: float) -> bytes:
    """A tone in the samples that the dialect's client announces."""
    rate = 16_000 if name == WYOMING else WIRES[name].rate
    return (np.sin(np.arange(round(rate * seconds)) / 10) * 8000).astype("<i2").tobytes()


def words_told(name: str, one: DialectClient) -> list[str]:
    """The words that were promised; of Wyoming, which promises none, the final's."""
    if name == WYOMING:
        return _texts([message["data"]["text"] for message in one.messages if message["type"] == "transcript"])
    return WIRES[name].words(one.messages)


def errors_told(name: str, one: DialectClient) -> list[str | int]:
    """What the errors and warnings are called that the client was told."""
    if name == WYOMING:
        codes = [message["data"]["code"] for message in one.messages if message["type"] == "error"]
    else:
        codes = [code for message in one.messages if (code := WIRES[name].code(message)) is not None]
    return codes

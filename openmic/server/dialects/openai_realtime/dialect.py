"""OpenAI's Realtime API, transcription sessions: JSON messages, audio in base64 (docs/dialects.md).

A connection may stay open for long and say nothing; an openmic session is opened with its first audio, ended after a
while without any, and opened again with the next. Another language, prompt or format also begins another session.

https://platform.openai.com/docs/api-reference/realtime
"""

from __future__ import annotations

import asyncio
import binascii
import secrets
from collections.abc import Callable, Iterator
from typing import Any

from starlette.responses import Response
from starlette.websockets import WebSocket

from openmic.errors import OpenmicError
from openmic.server.access.credentials import handshake_token, token_with_prefix
from openmic.server.dialects.connection import StreamConnection
from openmic.server.dialects.dialect import Asked, Audio, Configure, Flush, Frame, Outgoing, Rejected, Renew, Reply
from openmic.server.dialects.openai_realtime.config import TranscriptionSession, described, from_beta
from openmic.server.dialects.openai_realtime.items import Items
from openmic.server.dialects.openai_realtime.messages import (
    error_close_code,
    error_event,
    event,
    parse,
    to_text,
    type_of,
)
from openmic.server.dialects.samples import converter
from openmic.server.dialects.vendor import GOING_AWAY, POLICY, Json
from openmic.server.problems import PROBLEMS, BadField
from openmic.server.statuses import error_response
from openmic.sessions.events import (
    Committed,
    Ended,
    Failed,
    Replaced,
    SpeechChanged,
    UtteranceEnded,
)
from openmic.sessions.session import Session
from openmic.sessions.types import AudioFormat

SUBPROTOCOL = "realtime"
TOKEN_PREFIX = "openai-insecure-api-key."  # of the subprotocol in which browsers show it
BETA_SUBPROTOCOL = "openai-beta.realtime-v1"
BETA_HEADER = "realtime=v1"

G711 = {"audio/pcmu": "mulaw", "audio/pcma": "alaw"}

APPEND, COMMIT, CLEAR = (f"input_audio_buffer.{verb}" for verb in ("append", "commit", "clear"))
UPDATE, BETA_UPDATE = "session.update", "transcription_session.update"
KNOWN = (UPDATE, BETA_UPDATE, APPEND, COMMIT, CLEAR)
OF_CONVERSATIONS = ("response.", "conversation.", "output_audio_buffer.")
SHOWN_CHARACTERS = 40  # of a client's own text in an error

HELD_SECONDS = 1.0  # audio that comes before the client has said what it is waits so long for that
HELD_BYTES = 1_048_576  # and no more than this of it

ENDS_SESSION_ONLY = ("idle_too_long", "audio_empty")  # silence, and too little audio to be any


class RealtimeDialect:
    """One client on ``/v1/realtime``; a ``Dialect``."""

    resumes = False
    renews = True

    def __init__(self) -> None:
        self._config = TranscriptionSession()
        self._configured = False
        self._to_samples: Callable[[bytes], bytes] = bytes
        self._items = Items()
        self._id = ""
        self._model = ""
        self._connection: StreamConnection | None = None
        self._session: Session | None = None
        self._heard_seconds = 0.0  # audio on this connection
        self._uncommitted_bytes = 0  # of it, since the client's last commit

    def subprotocol(self, offered: list[str]) -> str | None:
        """See ``Dialect.subprotocol``."""
        self._items.beta = self._items.beta or BETA_SUBPROTOCOL in offered
        return SUBPROTOCOL if SUBPROTOCOL in offered else None

    def shown_token(self, websocket: WebSocket) -> str | None:
        """See ``Dialect.shown_token``."""
        return handshake_token(websocket) or token_with_prefix(websocket, TOKEN_PREFIX)

    async def begin(self, connection: StreamConnection) -> Session:
        """See ``Dialect.begin``: with the first audio, once the client has said what it is or had time to."""
        connection.authenticate(None, begins=True)
        if self._connection is None:
            await self._greet(connection)
        connection.put_back(await self._first_audio(connection))
        wanted = self._config.input
        self._to_samples = converter(G711[wanted.format.type]) if wanted.format.type in G711 else bytes
        self._items.offset = self._heard_seconds
        turns = wanted.turn_detection
        self._session = session = await connection.open(
            AudioFormat("pcm_s16le", wanted.format.sample_rate, 1),
            self._config.options(),
            endpoint_silence_seconds=turns.silence_seconds if turns is not None else None,
        )
        self._items.extra = {"openmic": {"session_id": session.id, "resume_token": session.resume_token}}
        await connection.attach(session)
        return session

    def read(self, frame: Frame) -> Asked:
        """See ``Dialect.read``; what is not understood is told at once, with the name of the client's event."""
        name = None
        try:
            message = parse(frame)
            name = message.get("event_id")
            return self._do(message)
        except OpenmicError as error:
            return Reply((to_text(error_event(error, name)),), kind=("error", error.code))

    def write(self, outgoing: Outgoing) -> Iterator[Frame]:
        """See ``Dialect.write``; live text has no word here, as deltas only grow."""
        for told in self._events(outgoing):
            yield to_text(told)

    def deny(self, error: OpenmicError) -> Response:
        """See ``Dialect.deny``: the SDKs look at the status."""
        return error_response(error)

    def refuse(self, error: OpenmicError) -> tuple[list[Frame], int]:
        """See ``Dialect.refuse``."""
        return [to_text(error_event(error))], error_close_code(error)

    def close_code(self, last: Ended | Failed | Replaced) -> int | None:
        """See ``Dialect.close_code``: silence and limits end the session only."""
        self._session = None
        match last:
            case Ended(reason=reason):
                return GOING_AWAY if reason == "shutdown" else None
            case Failed(error):
                return None if error.code in ENDS_SESSION_ONLY else error_close_code(error)
            case Replaced():
                return POLICY

    # --- before there is a session

    async def _greet(self, connection: StreamConnection) -> None:
        websocket = connection.websocket
        if "call_id" in websocket.query_params:
            raise BadField("call_id", "This server takes no part in calls; stream their audio to it")
        await connection.accept()
        self._connection = connection
        self._items.beta = self._items.beta or BETA_HEADER in websocket.headers.get("openai-beta", "")
        self._model = connection.sessions.engine.info.name
        self._id = f"sess_{secrets.token_hex(10)}"
        connection.say([to_text(self._described("created"))])

    async def _first_audio(self, connection: StreamConnection) -> list[Frame]:
        """The messages that want a session, in order; all others that come before them are answered."""
        held: list[Frame] = []
        deadline: float | None = None
        while not held or not self._configured:
            try:
                async with asyncio.timeout_at(deadline):
                    frame = await connection.next_frame()
            except TimeoutError:
                break
            kind = type_of(frame)
            if kind == APPEND or (held and kind not in (UPDATE, BETA_UPDATE)):
                held.append(frame)
                deadline = deadline or asyncio.get_running_loop().time() + HELD_SECONDS
                if sum(map(len, held)) > HELD_BYTES:
                    break
                continue
            answer = self.read(frame)
            if isinstance(answer, Reply):
                connection.say(answer.frames)
        return held

    # --- what the client says

    def _do(self, message: Json) -> Asked:
        kind = message.get("type")
        match kind:
            case "input_audio_buffer.append":
                return self._append(message)
            case "input_audio_buffer.commit":
                return self._commit()
            case "input_audio_buffer.clear":
                return self._clear()
            case "session.update" | "transcription_session.update":
                return self._update(message, beta=kind == BETA_UPDATE)
        if isinstance(kind, str) and kind.startswith(OF_CONVERSATIONS):
            raise PROBLEMS.error("unsupported_in_transcription", what=kind)
        raise PROBLEMS.error("unknown_type", type=repr(kind)[:SHOWN_CHARACTERS], known=", ".join(KNOWN))

    def _append(self, message: Json) -> Asked:
        try:
            data = binascii.a2b_base64(message["audio"], strict_mode=True)
        except (KeyError, TypeError, ValueError) as error:
            raise BadField("audio", "`audio` is no base64") from error
        self._heard_seconds += len(data) / self._config.input.format.bytes_per_second
        self._uncommitted_bytes += len(data)
        return Audio(self._to_samples(data)) if data else None

    def _commit(self) -> Asked:
        if not self._uncommitted_bytes:
            raise PROBLEMS.error("input_audio_buffer_commit_empty")
        self._uncommitted_bytes = 0
        self._say(self._items.commit())
        return Flush()

    def _clear(self) -> Asked:
        if self._session is None or not self._uncommitted_bytes:
            self._say(self._items.clear_nothing())
            return None
        self._uncommitted_bytes = 0
        self._say(self._items.clear())
        return Flush()

    def _update(self, message: Json, *, beta: bool) -> Asked:
        given = message.get("session")
        if not isinstance(given, dict):
            raise BadField("session", "`session` is no object")
        if not beta and given.get("type", "transcription") != "transcription":
            raise PROBLEMS.error("unsupported_in_transcription", what=f"a session of the type {given['type']!r}")
        if beta and not self._configured:
            self._items.beta = True
        before, after = self._config, self._config.updated(from_beta(given) if beta else given)
        self._config, self._configured = after, True
        turns = after.input.turn_detection
        self._items.turns = turns is not None
        self._say([self._described("updated")])
        if self._session is None:
            return None
        if before.input.format != after.input.format or before.options() != after.options():
            return Renew()
        if turns is not None and turns.silence_seconds is not None:
            return Configure(turns.silence_seconds)
        return None

    def _described(self, what: str) -> Json:
        session = described(self._config, self._id, self._model, beta=self._items.beta)
        prefix = "transcription_session" if self._items.beta else "session"
        return event(f"{prefix}.{what}", session=session | (self._items.extra if self._session is not None else {}))

    def _say(self, events: Any) -> None:
        if self._connection is not None:
            self._connection.say([to_text(told) for told in events])

    # --- what the session says

    def _events(self, outgoing: Outgoing) -> Iterator[Json]:
        match outgoing:
            case SpeechChanged(boundary):
                yield from self._items.hear(boundary)
            case Committed(_, committed):
                yield from self._items.say(committed)
            case UtteranceEnded(over):
                yield from self._items.end(over)
            case Ended():
                yield from self._items.finish(outgoing.audio_seconds)
            case Failed(error):
                yield from self._items.fail(error)
                if error.code not in ENDS_SESSION_ONLY:
                    yield error_event(error)
            case Rejected(error):
                yield error_event(error)
            case Replaced():
                yield error_event(PROBLEMS.error("replaced"))

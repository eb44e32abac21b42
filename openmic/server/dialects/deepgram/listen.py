"""Deepgram's live interface, v1: ``WS /v1/listen``.

https://developers.deepgram.com/reference/speech-to-text/listen-streaming
"""

from __future__ import annotations

from collections.abc import Iterator

from starlette.responses import Response
from starlette.websockets import WebSocket

from openmic.errors import OpenmicError
from openmic.server.access.credentials import bearer_token, token_behind
from openmic.server.dialects import dialect as seam
from openmic.server.dialects.connection import StreamConnection
from openmic.server.dialects.deepgram import parameters
from openmic.server.dialects.deepgram.configure import NotConfigured, read_keyterms
from openmic.server.dialects.deepgram.messages import (
    CLOSE_CODES,
    close_reason,
    denial,
    error_message,
    session_fields,
    to_text,
)
from openmic.server.dialects.deepgram.results import Results, Wishes
from openmic.server.dialects.query import Query
from openmic.server.dialects.vendor import DONE, POLICY, Json, final_fields, json_object, last_close_code
from openmic.server.problems import PROBLEMS
from openmic.server.statuses import close_code
from openmic.sessions import events
from openmic.sessions.session import Session

SUBPROTOCOLS = ("token", "bearer")
FINAL_SECONDS = 5.0  # that a client waits for the final behind CloseStream
LEAST_UTTERANCE_END_SECONDS = 1.0  # as Deepgram has it
CLIENT_TYPES = ("KeepAlive", "Finalize", "Configure", "CloseStream")
NEVER = ("false", "0.0", "no")


class ListenDialect:
    """One client on ``/v1/listen``; a ``Dialect``."""

    resumes = False
    renews = False

    def __init__(self) -> None:
        self._final: events.Finalised | None = None

    def subprotocol(self, offered: list[str]) -> str | None:
        """See ``Dialect.subprotocol``: the name in front of the token that browsers offer."""
        return next((name for name in offered if name in SUBPROTOCOLS), None)

    def shown_token(self, websocket: WebSocket) -> str | None:
        """See ``Dialect.shown_token``."""
        return bearer_token(websocket) or token_behind(websocket, SUBPROTOCOLS)

    async def begin(self, connection: StreamConnection) -> Session:
        """See ``Dialect.begin``: all is in the query; nothing is said before audio comes."""
        connection.authenticate(None, begins=True)
        query = Query(connection.websocket.query_params)
        self._audio = parameters.read_audio(query)
        options = parameters.read_options(query, "keyterm", "keywords")
        silence, ends = read_endpointing(query)
        wishes = Wishes(
            query.flag("interim_results"),
            ends,
            query.flag("vad_events"),
            _utterance_end(query),
            options.language is None,
        )
        self._ignored = parameters.ignored(query)
        session = await connection.open(self._audio.format, options, words=True, endpoint_silence_seconds=silence)
        self._session = session
        self._results = Results(wishes, session.id, connection.sessions.engine.info.name)
        await connection.attach(session)
        return session

    def read(self, frame: seam.Frame) -> seam.Asked:
        """See ``Dialect.read``."""
        if isinstance(frame, bytes):
            if not frame:  # the old way to close a stream
                return seam.Stop(FINAL_SECONDS)
            data = self._audio.convert(frame)
            return seam.Audio(data) if data else None
        message = json_object(frame) or {}
        match message.get("type"):
            case "KeepAlive":
                return None
            case "Finalize":
                return seam.Flush()
            case "CloseStream":
                return seam.Stop(FINAL_SECONDS)
            case "Configure":
                return self._configure(message)
            case other:
                error = PROBLEMS.error("unknown_type", type=repr(other)[:40], known=", ".join(CLIENT_TYPES))
                return seam.Reply((to_text(error_message(error, "SchemaError")),), kind="error")

    def write(self, outgoing: seam.Outgoing) -> Iterator[seam.Frame | seam.Goodbye]:
        """See ``Dialect.write``."""
        for message in self._messages(outgoing):
            yield to_text(message)
        match outgoing:
            case seam.Leaving():
                yield seam.Goodbye(DONE)
            case events.Failed(error):
                code = stream_close_code(error)
                yield seam.Goodbye(code, close_reason(error, code))

    def _messages(self, outgoing: seam.Outgoing) -> Iterator[Json]:
        match outgoing:
            case seam.Acknowledged(received_bytes):
                seconds_per_byte = self._audio.seconds_per_byte
                yield from self._results.hear(received_bytes * seconds_per_byte if seconds_per_byte else None)
            case events.SpeechChanged(boundary) if boundary.state == "started":
                yield from self._results.start_speech(boundary.at)
            case events.Live(_, live):
                yield from self._results.show(live)
            case events.Committed(_, committed):
                yield from self._results.commit(committed)
            case events.UtteranceEnded(over):
                yield from self._results.end_utterance(over)
            case events.Finalised():
                self._final = outgoing
                yield from self._results.rest()
            case events.Ended() | seam.Leaving():
                yield from self._results.rest()
                yield self._farewell()
            case events.Failed(error):
                yield from self._results.rest()
                yield error_message(error, "StreamError")
            case seam.Rejected(error) if error.code != "already_stopped":
                yield error_message(error, "StreamError")

    def deny(self, error: OpenmicError) -> Response:
        """See ``Dialect.deny``."""
        return denial(error)

    def refuse(self, error: OpenmicError) -> tuple[list[seam.Frame], int]:
        """See ``Dialect.refuse``."""
        return [to_text(error_message(error, "StreamError"))], stream_close_code(error)

    def close_code(self, last: events.Ended | events.Failed | events.Replaced) -> int:
        """See ``Dialect.close_code``."""
        return last_close_code(last, stream_close_code)

    def _farewell(self) -> Json:
        session = self._session
        return {
            "type": "Metadata",
            **session_fields(session),
            "duration": round(session.recording.seconds, 3),
            "channels": self._audio.channels,
            "openmic": final_fields(session, self._final) | {"ignored": self._ignored},
        }

    def _configure(self, message: Json) -> seam.Asked:
        request_id = {"request_id": self._session.id}
        try:
            keyterms = read_keyterms(message)
        except NotConfigured as refused:
            return seam.Reply((to_text(refused.answer | request_id),), kind="configure")
        answer: Json = {"type": "ConfigureSuccess", **request_id}
        if keyterms is not None:
            answer["keyterms"] = [term.text for term in keyterms]
        return seam.Configure(vocabulary=keyterms, frames=(to_text(answer),))


def read_endpointing(query: Query) -> tuple[float | None, bool]:
    """The silence that ends an utterance in seconds (None: the server's own), and whether such ends are told.

    Raises:
        OpenmicError: ``bad_request``.
    """
    value = (query.text("endpointing") or "true").lower()
    if value in NEVER:
        return None, False
    if value == "true":
        return None, True
    return query.seconds("endpointing"), True


def _utterance_end(query: Query) -> float | None:
    silence_seconds = query.seconds("utterance_end_ms")
    return None if silence_seconds is None else max(silence_seconds, LEAST_UTTERANCE_END_SECONDS)


def stream_close_code(error: OpenmicError) -> int:
    """Deepgram's code where it has one; else openmic's, if it is one that every client library knows."""
    code = CLOSE_CODES.get(error.code) or close_code(error.code)
    return code if code < 4000 else POLICY

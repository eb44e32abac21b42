"""AssemblyAI's Universal Streaming: ``WS /v3/ws``. A turn is an utterance.

Its SDK checks every message strictly, and wants the handshake's answer within a second: so the session is opened behind
it, and every time is a whole number.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

from starlette.responses import Response
from starlette.websockets import WebSocket

from openmic.errors import OpenmicError
from openmic.server.access.credentials import bare_token
from openmic.server.dialects import dialect as seam
from openmic.server.dialects.connection import StreamConnection
from openmic.server.dialects.query import Query
from openmic.server.dialects.samples import converter
from openmic.server.dialects.turns import Turn, milliseconds
from openmic.server.dialects.vendor import DONE, POLICY, Json, finite, json_object, last_close_code, to_prompt
from openmic.server.problems import PROBLEMS
from openmic.server.statuses import close_code, error_response
from openmic.sessions import events
from openmic.sessions.session import Session
from openmic.sessions.types import AudioFormat, SpeechOptions, Word, language_code

LAST_WORDS_SECONDS = 4.0  # that the last turn may take behind Terminate; the SDK waits for 5
CONTAINERS = ("ogg_opus", "aac")
CLIENT_TYPES = ("Terminate", "ForceEndpoint", "UpdateConfiguration", "KeepAlive")
REFUSED = {
    "redact_pii": "What was said would reach you as it is",
    "webhook_url": "This server sends nothing to addresses that its clients name",
    "llm_gateway": "This server sends nothing to addresses that its clients name",
}
CODES = {
    **dict.fromkeys(("audio_not_decodable", "audio_track_missing", "audio_empty"), 3007),
    **dict.fromkeys(("bad_request", "not_offered", "unknown_language", "unknown_type"), 3006),
    **dict.fromkeys(("audio_rate_missing", "audio_rate_invalid", "audio_channels_invalid"), 3006),
    **dict.fromkeys(("server_full", "too_many_connections", "disk_full"), 3009),
    **dict.fromkeys(("device_lost", "engine_failed", "session_failed"), 3005),
    "message_too_large": 3007,
    "idle_too_long": 4031,
}


class AssemblyDialect:
    """One client on ``/v3/ws``; a ``Dialect``."""

    resumes = False
    renews = False

    def __init__(self) -> None:
        self._turn = Turn()
        self._flushes = 0  # that are not answered yet
        self._closing = False
        self._began_at = time.monotonic()

    def subprotocol(self, offered: list[str]) -> str | None:
        """See ``Dialect.subprotocol``."""
        return None

    def shown_token(self, websocket: WebSocket) -> str | None:
        """See ``Dialect.shown_token``: the header holds nothing but the token."""
        return bare_token(websocket)

    async def begin(self, connection: StreamConnection) -> Session:
        """See ``Dialect.begin``: all is in the query; ``Begin`` says that audio may come."""
        connection.authenticate(None, begins=True)
        await connection.accept()
        query = Query(connection.websocket.query_params)
        query.refuse(REFUSED)
        audio_format, self._convert = _read_audio(query)
        self._formatted = query.flag("format_turns")
        languages = query.texts("language_code", "language", "language_codes")
        language = language_code(languages[0]) if len(set(languages)) == 1 else None
        terms = query.terms("keyterms_prompt", "keyterms")
        options = SpeechOptions(language, prompt=to_prompt(query.text("prompt")), vocabulary=terms)
        session = await connection.open(
            audio_format, options, words=True, endpoint_silence_seconds=query.seconds("max_turn_silence")
        )
        self._session = session
        expires_at = int(time.time() + connection.settings.max_seconds)
        begun = {"type": "Begin", "id": f"{session.id}.{session.resume_token}", "expires_at": expires_at}
        await connection.attach(session, [json.dumps(begun)])
        return session

    def read(self, frame: seam.Frame) -> seam.Asked:
        """See ``Dialect.read``."""
        if isinstance(frame, bytes):
            data = self._convert(frame)
            return seam.Audio(data) if data else None
        message = json_object(frame) or {}
        match message.get("type"):
            case "Terminate":
                self._flushes += 1
                self._closing = True
                return seam.Stop(LAST_WORDS_SECONDS, flush=True)
            case "ForceEndpoint":
                self._flushes += 1
                return seam.Flush()
            case "UpdateConfiguration":
                return _changed(message)
            case "KeepAlive":
                return None
            case other:
                raise PROBLEMS.error("unknown_type", type=repr(other)[:40], known=", ".join(CLIENT_TYPES))

    def write(self, outgoing: seam.Outgoing) -> Iterator[seam.Frame | seam.Goodbye]:
        """See ``Dialect.write``."""
        for message in self._messages(outgoing):
            yield json.dumps(message, ensure_ascii=False)
        match outgoing:
            case events.UtteranceEnded() if self._closing and self._flushes == 0:
                yield seam.Goodbye(DONE)
            case seam.Leaving():
                yield seam.Goodbye(DONE)

    def _messages(self, outgoing: seam.Outgoing) -> Iterator[Json]:
        match outgoing:
            case events.SpeechChanged(boundary) if boundary.state == "started":
                yield {"type": "SpeechStarted", "timestamp": milliseconds(boundary.at)}
            case events.Live(_, live):
                self._turn.show(live)
                yield from self._partial()
            case events.Committed(_, committed):
                self._turn.commit(committed)
                yield from self._partial()
            case events.UtteranceEnded(over):
                yield from self._end_turn()
                self._flushes -= over.cause == "flush"
                if self._closing and self._flushes == 0:
                    yield self._termination()
            case events.Ended() | seam.Leaving():
                yield from self._end_turn()
                yield self._termination()
            case events.Failed(error):
                yield from self._end_turn()
                yield _fault(error)
            case seam.Rejected(error) if error.code != "already_stopped":
                code = CODES.get(error.code, POLICY)
                yield {"type": "Warning", "warning_code": code, "warning": f"{error.message} {error.hint}"}

    def deny(self, error: OpenmicError) -> Response:
        """See ``Dialect.deny``."""
        return error_response(error)

    def refuse(self, error: OpenmicError) -> tuple[list[seam.Frame], int]:
        """See ``Dialect.refuse``."""
        return [json.dumps(_fault(error), ensure_ascii=False)], _code(error)

    def close_code(self, last: events.Ended | events.Failed | events.Replaced) -> int:
        """See ``Dialect.close_code``."""
        return last_close_code(last, _code)

    def _partial(self) -> Iterator[Json]:
        if self._turn.words or self._turn.tail:
            yield self._turn_json(ended=False, formatted=False)

    def _end_turn(self) -> Iterator[Json]:
        if not self._turn.words:
            return
        self._turn.tail, tail = (), self._turn.tail
        yield self._turn_json(ended=True, formatted=False)
        if self._formatted:  # Whisper's text has its form already; clients wait for this one
            yield self._turn_json(ended=True, formatted=True)
        self._turn.next()
        self._turn.tail = tail

    def _turn_json(self, *, ended: bool, formatted: bool) -> Json:
        turn = self._turn
        message: Json = {
            "type": "Turn",
            "turn_order": turn.index,
            "turn_is_formatted": formatted,
            "end_of_turn": ended,
            "transcript": turn.text,
            "end_of_turn_confidence": 1.0 if ended else 0.0,
            "words": [
                *(_word_json(word, final=True) for word in turn.words),
                *(_word_json(word, final=False) for word in turn.tail),
            ],
            "utterance": turn.text if ended else "",
        }
        if turn.language:
            message |= {"language_code": turn.language, "language_confidence": 1.0}
        return message

    def _termination(self) -> Json:
        return {
            "type": "Termination",
            "audio_duration_seconds": round(self._session.recording.seconds),
            "session_duration_seconds": round(time.monotonic() - self._began_at),
        }


def _changed(message: Json) -> seam.Asked:
    given = message.get("max_turn_silence")
    if given is None:  # what else can be changed there changes nothing here
        return None
    silence = finite(given)
    if silence is None:
        raise PROBLEMS.error("bad_request", detail="`max_turn_silence` is a number")
    return seam.Configure(silence / 1000)


def _read_audio(query: Query) -> tuple[AudioFormat, Any]:
    encoding = query.text("encoding") or "pcm_s16le"
    if encoding in CONTAINERS:
        return AudioFormat(), bytes
    if encoding not in ("pcm_s16le", "pcm_mulaw"):
        known = ", ".join(("pcm_s16le", "pcm_mulaw", *CONTAINERS))
        raise PROBLEMS.error("not_offered", name=f"the encoding {encoding[:40]}", detail=f"It takes {known}")
    rate = query.integer("sample_rate")
    return AudioFormat("pcm_s16le", rate, 1), converter("mulaw") if encoding == "pcm_mulaw" else bytes


def _word_json(word: Word, *, final: bool) -> Json:
    return {
        "text": word.word.strip(),
        "start": milliseconds(word.start),
        "end": milliseconds(word.end),
        "confidence": round(word.probability, 4),
        "word_is_final": final,
    }


def _fault(error: OpenmicError) -> Json:
    return {"type": "Error", "error_code": _code(error), "error": f"{error.message} {error.hint}"}


def _code(error: OpenmicError) -> int:
    code = CODES.get(error.code) or close_code(error.code)
    return POLICY if code >= 4000 and error.code not in CODES else code

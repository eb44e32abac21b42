"""Soniox's real-time transcription: ``WS /transcribe-websocket``. Its tokens are words, each with its space."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator

from starlette.responses import JSONResponse, Response
from starlette.websockets import WebSocket

from openmic.errors import OpenmicError
from openmic.server.access.credentials import bearer_token, token_behind
from openmic.server.dialects import dialect as seam
from openmic.server.dialects.connection import StreamConnection
from openmic.server.dialects.samples import converter
from openmic.server.dialects.turns import Turn, milliseconds
from openmic.server.dialects.vendor import (
    DONE,
    POLICY,
    Json,
    endpoint_silence,
    final_fields,
    finite,
    json_object,
    last_close_code,
    refusal_headers,
    to_prompt,
    to_terms,
)
from openmic.server.problems import PROBLEMS
from openmic.server.statuses import SENT, close_code
from openmic.sessions import events
from openmic.sessions.session import Session
from openmic.sessions.types import AudioFormat, SpeechOptions, Task, Term, UtteranceOver, Word, language_code

SUBPROTOCOL = "soniox-api-key"
FINAL_SECONDS = 5.0  # that a client waits for the final behind its empty message
CONTAINERS = ("auto", "aac", "aiff", "amr", "asf", "flac", "mp3", "ogg", "wav", "webm")
AS_IT_IS = ("pcm_s16le", "pcm_f32le")
CONVERTED = ("mulaw", "alaw", "pcm_s32le", "pcm_s8", "pcm_s16be")


class SonioxDialect:
    """One client on ``/transcribe-websocket``; a ``Dialect``."""

    resumes = False
    renews = False

    def __init__(self) -> None:
        self._turn = Turn()
        self._final: events.Finalised | None = None

    def subprotocol(self, offered: list[str]) -> str | None:
        """See ``Dialect.subprotocol``."""
        return SUBPROTOCOL if SUBPROTOCOL in offered else None

    def shown_token(self, websocket: WebSocket) -> str | None:
        """See ``Dialect.shown_token``; an older SDK shows it in its first message."""
        return bearer_token(websocket) or token_behind(websocket, (SUBPROTOCOL,))

    async def begin(self, connection: StreamConnection) -> Session:
        """See ``Dialect.begin``: by the first message; nothing is said before audio comes."""
        first = await connection.first_frame()
        config = json_object(first)
        if config is None:
            raise PROBLEMS.error("bad_json")
        shown = config.get("api_key")
        connection.authenticate(shown if isinstance(shown, str) else None, begins=True)
        audio_format, self._convert = _read_audio(config)
        self._endpoints = config.get("enable_endpoint_detection") is True
        self._languages = config.get("enable_language_identification") is True
        delay = _number(config, "max_endpoint_delay_ms")
        session = await connection.open(
            audio_format,
            _read_options(config),
            words=True,
            endpoint_silence_seconds=endpoint_silence(None if delay is None else delay / 1000, connection.settings),
        )
        self._session = session
        await connection.attach(session)
        return session

    def read(self, frame: seam.Frame) -> seam.Asked:
        """See ``Dialect.read``."""
        if isinstance(frame, bytes):
            data = self._convert(frame)
            return seam.Audio(data) if data else None if frame else seam.Stop(FINAL_SECONDS)
        if not frame:
            return seam.Stop(FINAL_SECONDS)
        match (json_object(frame) or {}).get("type"):
            case "finalize":
                return seam.Flush()
            case "keepalive":
                return None
            case other:
                error = PROBLEMS.error("unknown_type", type=repr(other)[:40], known="finalize, keepalive")
                return seam.Reply((_text(_fault(error)),), kind="error")

    def write(self, outgoing: seam.Outgoing) -> Iterator[seam.Frame | seam.Goodbye]:
        """See ``Dialect.write``."""
        for message in self._messages(outgoing):
            yield _text(message)
        if isinstance(outgoing, seam.Leaving):
            yield seam.Goodbye(DONE)

    def _messages(self, outgoing: seam.Outgoing) -> Iterator[Json]:
        turn = self._turn
        match outgoing:
            case events.Live(_, live):
                turn.show(live)
                yield self._tokens(self._words(turn.tail, final=False))
            case events.Committed(_, committed):
                turn.commit(committed)
                final = self._words(committed.words, final=True)
                yield self._tokens([*final, *self._words(turn.tail, final=False)])
            case events.UtteranceEnded(over):
                turn.transcribed_seconds = max(turn.transcribed_seconds, over.end)
                if over.cause == "flush":
                    yield self._tokens([_mark("<fin>", over)])
                elif over.cause == "silence" and self._endpoints:
                    yield self._tokens([_mark("<end>", over)])
                turn.next()
            case events.Finalised():
                self._final = outgoing
            case events.Ended() | seam.Leaving():
                yield self._tokens(()) | {"finished": True, "openmic": final_fields(self._session, self._final)}
            case events.Failed(error):
                yield _fault(error)

    def deny(self, error: OpenmicError) -> Response:
        """See ``Dialect.deny``."""
        return JSONResponse(_fault(error), SENT[error.code].status, refusal_headers(error))

    def refuse(self, error: OpenmicError) -> tuple[list[seam.Frame], int]:
        """See ``Dialect.refuse``."""
        return [_text(_fault(error))], _code(error)

    def close_code(self, last: events.Ended | events.Failed | events.Replaced) -> int:
        """See ``Dialect.close_code``."""
        return last_close_code(last, _code)

    def _tokens(self, tokens: Iterable[Json]) -> Json:
        final = self._turn.words[-1].end if self._turn.words else self._turn.transcribed_seconds
        return {
            "tokens": list(tokens),
            "final_audio_proc_ms": milliseconds(final),
            "total_audio_proc_ms": milliseconds(max(final, self._turn.transcribed_seconds)),
        }

    def _words(self, words: Iterable[Word], *, final: bool) -> list[Json]:
        language = {"language": self._turn.language} if self._languages and self._turn.language else {}
        return [
            {
                "text": word.word,
                "start_ms": milliseconds(word.start),
                "end_ms": milliseconds(word.end),
                "confidence": round(word.probability, 4),
                "is_final": final,
                **language,
            }
            for word in words
        ]


def _mark(text: str, over: UtteranceOver) -> Json:
    at = milliseconds(over.end)
    return {"text": text, "start_ms": at, "end_ms": at, "confidence": 1.0, "is_final": True}


def _read_audio(config: Json) -> tuple[AudioFormat, Callable[[bytes], bytes]]:
    encoding = config.get("audio_format") or "auto"
    if encoding in CONTAINERS:
        return AudioFormat(), bytes
    if encoding not in (*AS_IT_IS, *CONVERTED):
        known = ", ".join((*CONTAINERS, *AS_IT_IS, *CONVERTED))
        raise PROBLEMS.error("not_offered", name=f"the audio format {str(encoding)[:40]}", detail=f"It takes {known}")
    rate, channels = _number(config, "sample_rate"), _number(config, "num_channels")
    hertz, interleaved = None if rate is None else int(rate), 1 if channels is None else int(channels)
    if encoding == "pcm_f32le":
        return AudioFormat("pcm_f32le", hertz, interleaved), bytes
    convert = converter(encoding) if encoding in CONVERTED else bytes
    return AudioFormat("pcm_s16le", hertz, interleaved), convert


def _read_options(config: Json) -> SpeechOptions:
    hints = config.get("language_hints")
    hints = [hint for hint in hints if isinstance(hint, str)] if isinstance(hints, list) else []
    return SpeechOptions(language_code(hints[0]) if len(hints) == 1 else None, _task(config), *_context(config))


def _task(config: Json) -> Task:
    translation = config.get("translation")
    if not isinstance(translation, dict):
        return "transcribe"
    if translation.get("type") == "one_way" and translation.get("target_language") == "en":
        return "translate"
    raise PROBLEMS.error("not_offered", name="this translation", detail="Whisper translates into English alone")


def _context(config: Json) -> tuple[str | None, tuple[Term, ...]]:
    """The text that came before, and the terms."""
    context = config.get("context")
    if not isinstance(context, dict):
        return to_prompt(context), ()
    terms = context.get("terms")
    return to_prompt(context.get("text")), to_terms(terms if isinstance(terms, list) else ())


def _number(config: Json, name: str) -> float | None:
    value = config.get(name)
    if value is None:
        return None
    number = finite(value)
    if number is None:
        raise PROBLEMS.error("bad_request", detail=f"`{name}` is a number")
    return number


def _text(message: Json) -> str:
    return json.dumps(message, ensure_ascii=False)


def _fault(error: OpenmicError) -> Json:
    return {"error_code": SENT[error.code].status, "error_message": f"{error.message} {error.hint}", "tokens": []}


def _code(error: OpenmicError) -> int:
    code = close_code(error.code)
    return POLICY if code >= 4000 else code

"""Deepgram's live interface, v2 (Flux): ``WS /v2/listen``, turns in the place of results.

https://developers.deepgram.com/reference/speech-to-text/listen-flux. A turn is an utterance here: openmic has no model
of turns, so that no end of one is ever announced early.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from starlette.responses import Response
from starlette.websockets import WebSocket

from openmic.errors import OpenmicError
from openmic.server.access.credentials import bearer_token, token_behind
from openmic.server.dialects import dialect as seam
from openmic.server.dialects.connection import StreamConnection
from openmic.server.dialects.deepgram import parameters
from openmic.server.dialects.deepgram.configure import THRESHOLDS, NotConfigured, read_keyterms, read_thresholds
from openmic.server.dialects.deepgram.listen import SUBPROTOCOLS, stream_close_code
from openmic.server.dialects.deepgram.messages import close_reason, denial, to_text
from openmic.server.dialects.query import Query
from openmic.server.dialects.turns import Turn, text_of
from openmic.server.dialects.vendor import DONE, Json, endpoint_silence, json_object, last_close_code
from openmic.sessions import events
from openmic.sessions.session import Session
from openmic.sessions.types import UtteranceOver, Word

LAST_WORDS_SECONDS = 5.0  # that the last turn may take behind CloseStream
CLIENT_TYPES = ("CloseStream", "ForceEndTurn", "Configure")


class FluxDialect:
    """One client on ``/v2/listen``; a ``Dialect``."""

    resumes = False
    renews = False

    def __init__(self) -> None:
        self._sequence = 0
        self._turn = Turn()
        self._started = False  # the turn's StartOfTurn is out
        self._flushes = 0  # that are not answered yet
        self._closing = False

    def subprotocol(self, offered: list[str]) -> str | None:
        """See ``Dialect.subprotocol``."""
        return next((name for name in offered if name in SUBPROTOCOLS), None)

    def shown_token(self, websocket: WebSocket) -> str | None:
        """See ``Dialect.shown_token``."""
        return bearer_token(websocket) or token_behind(websocket, SUBPROTOCOLS)

    async def begin(self, connection: StreamConnection) -> Session:
        """See ``Dialect.begin``: all is in the query; ``Connected`` is the first message."""
        connection.authenticate(None, begins=True)
        query = Query(connection.websocket.query_params)
        self._audio = parameters.read_audio(query)
        options = parameters.read_options(query, "keyterm", language="language_hint")
        session = await connection.open(
            self._audio.format,
            options,
            words=True,
            endpoint_silence_seconds=endpoint_silence(query.seconds("eot_timeout_ms"), connection.settings),
        )
        self._session, self._settings = session, connection.settings
        given = {name: query.number(name) for name in THRESHOLDS}
        self._thresholds: Json = {name: value for name, value in given.items() if value is not None}
        await connection.attach(session, [self._numbered({"type": "Connected"})])
        return session

    def read(self, frame: seam.Frame) -> seam.Asked:
        """See ``Dialect.read``."""
        if isinstance(frame, bytes):
            data = self._audio.convert(frame)
            return seam.Audio(data) if data else None
        message = json_object(frame) or {}
        match message.get("type"):
            case "CloseStream":
                self._flushes += 1
                self._closing = True
                return seam.Stop(LAST_WORDS_SECONDS, flush=True)
            case "ForceEndTurn":
                self._flushes += 1
                return seam.Flush()
            case "Configure":
                return self._configure(message)
            case _:
                description = f"Known are {', '.join(CLIENT_TYPES)}, and audio in binary messages."
                return seam.Answer({"type": "Warning", "code": "UNKNOWN_MESSAGE", "description": description})

    def write(self, outgoing: seam.Outgoing) -> Iterator[seam.Frame | seam.Goodbye]:
        """See ``Dialect.write``."""
        match outgoing:
            case events.Live(_, live):
                self._turn.show(live)
                yield from self._update()
            case events.Committed(_, committed):
                self._turn.commit(committed)
                yield from self._update()
            case events.UtteranceEnded(over):
                yield from self._end_turn(over)
                self._flushes -= over.cause == "flush"
                if self._closing and self._flushes == 0:
                    yield seam.Goodbye(DONE)
            case events.Ended():
                yield from self._end_open_turn()
            case seam.Leaving():
                yield from self._end_open_turn()
                yield seam.Goodbye(DONE)
            case seam.Answer(message):
                yield self._numbered(message)
            case seam.Rejected(error) if error.code != "already_stopped":
                yield self._numbered({"type": "Warning", "code": error.code.upper(), "description": error.message})
            case events.Failed(error):
                yield from self._end_open_turn()
                yield self._fault(error)
                code = stream_close_code(error)
                yield seam.Goodbye(code, close_reason(error, code))

    def deny(self, error: OpenmicError) -> Response:
        """See ``Dialect.deny``."""
        return denial(error)

    def refuse(self, error: OpenmicError) -> tuple[list[seam.Frame], int]:
        """See ``Dialect.refuse``."""
        return [self._fault(error)], stream_close_code(error)

    def close_code(self, last: events.Ended | events.Failed | events.Replaced) -> int:
        """See ``Dialect.close_code``."""
        return last_close_code(last, stream_close_code)

    def _update(self) -> Iterator[seam.Frame]:
        words = [*self._turn.words, *self._turn.tail]
        if not words:
            return
        if not self._started:
            self._started = True
            yield self._turn_info("StartOfTurn", words)
        yield self._turn_info("Update", words)

    def _end_turn(self, over: UtteranceOver) -> Iterator[seam.Frame]:
        self._turn.transcribed_seconds = max(self._turn.transcribed_seconds, over.end)
        yield from self._end_open_turn("timeout" if over.cause == "silence" else "manual")

    def _end_open_turn(self, trigger: str = "manual") -> Iterator[seam.Frame]:
        """Of a turn whose words are all out; also where its session ends before the turn did."""
        if not self._turn.words:
            return
        yield self._turn_info("EndOfTurn", self._turn.words, trigger)
        self._turn.next()
        self._started = False

    def _turn_info(self, event: str, words: Sequence[Word], trigger: str | None = None) -> str:
        turn = self._turn
        message: Json = {
            "type": "TurnInfo",
            "event": event,
            "turn_index": turn.index,
            "audio_window_start": round(words[0].start, 3),
            "audio_window_end": round(max(turn.transcribed_seconds, words[-1].end), 3),
            "transcript": text_of(words),
            "words": [
                {
                    "word": word.word.strip(),
                    "confidence": round(word.probability, 4),
                    "start": round(word.start, 3),
                    "end": round(word.end, 3),
                }
                for word in words
            ],
            "end_of_turn_confidence": 1.0 if trigger is not None else 0.0,
        }
        if trigger is not None:
            message["trigger"] = trigger
        if turn.language:
            message["languages"] = [turn.language]
        return self._numbered(message)

    def _configure(self, message: Json) -> seam.Asked:
        try:
            keyterms, thresholds = read_keyterms(message), read_thresholds(message)
            if message.get("language_hints"):
                raise NotConfigured("CONFIGURE_LANGUAGE_HINTS_NOT_SUPPORTED", "The handshake alone says the language.")
        except NotConfigured as refused:
            return seam.Answer(refused.answer)
        self._thresholds |= thresholds
        in_effect = self._session.options.vocabulary if keyterms is None else keyterms
        answer: Json = {
            "type": "ConfigureSuccess",
            "thresholds": self._thresholds.copy(),
            "keyterms": [term.text for term in in_effect],
        }
        timeout = thresholds.get("eot_timeout_ms")
        silence = endpoint_silence(None if timeout is None else timeout / 1000, self._settings)
        return seam.Configure(silence, vocabulary=keyterms, answer=seam.Answer(answer))

    def _fault(self, error: OpenmicError) -> str:
        return self._numbered(
            {"type": "Error", "code": error.code.upper(), "description": f"{error.message} {error.hint}"}
        )

    def _numbered(self, message: Json) -> str:
        ours: Json = {"sequence_id": self._sequence}
        if message["type"] != "Error":
            ours |= {"request_id": self._session.id}
        self._sequence += 1
        return to_text(message | ours)

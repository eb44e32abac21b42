"""The native dialect, ``openmic.v1``: JSON messages and binary audio (docs/protocol.md)."""

from __future__ import annotations

from starlette.responses import Response
from starlette.websockets import WebSocket

from openmic.errors import OpenmicError
from openmic.server.access.credentials import handshake_token
from openmic.server.dialects.connection import StreamConnection
from openmic.server.dialects.dialect import (
    Acknowledged,
    Answer,
    Asked,
    Audio,
    Configure,
    Flush,
    Frame,
    Leaving,
    Notice,
    Outgoing,
    Rejected,
    Reply,
    Stop,
)
from openmic.server.dialects.native import messages
from openmic.server.dialects.native.codec import error_message, is_control, parse, to_message, to_text, warning_message
from openmic.server.problems import PROBLEMS
from openmic.server.statuses import close_code
from openmic.sessions.events import Ended, Failed, Replaced
from openmic.sessions.session import Session
from openmic.sessions.types import AudioFormat, SpeechOptions

DONE = 1000
GOING_AWAY = 1001
COME_BACK = 1012  # closed without a word, so that a client takes it for a broken connection and resumes


class NativeDialect:
    """One client on ``/v1/stream``; a ``Dialect``."""

    resumes = True
    renews = False

    def __init__(self) -> None:
        self._words = False

    def subprotocol(self, offered: list[str]) -> str | None:
        """See ``Dialect.subprotocol``."""
        return messages.SUBPROTOCOL if messages.SUBPROTOCOL in offered else None

    def shown_token(self, websocket: WebSocket) -> str | None:
        """See ``Dialect.shown_token``."""
        return handshake_token(websocket)

    async def begin(self, connection: StreamConnection) -> Session:
        """See ``Dialect.begin``: by ``start`` or ``resume``, answered by ``ready``."""
        first = await connection.first_frame()
        if isinstance(first, bytes):
            raise PROBLEMS.error("not_started", got="a binary message")
        message = parse(first)
        match message:
            case messages.Start():
                connection.authenticate(message.token, begins=True)
                audio_format = AudioFormat(message.encoding, message.sample_rate, message.channels)  # type: ignore[arg-type]
                terms = messages.to_terms(message.vocabulary or ())
                options = SpeechOptions(message.language, message.task, message.prompt, terms)
                silence = message.endpoint_silence_seconds
                session = await connection.open(
                    audio_format, options, words=message.words, endpoint_silence_seconds=silence
                )
                after_seq = 0
            case messages.Resume():
                connection.authenticate(message.token, begins=False)
                session = await connection.resume(message.session_id, message.resume_token)
                after_seq = message.after_seq
            case _:
                raise PROBLEMS.error("not_started", got=f"the message {message.type}")
        self._words = session.words
        await connection.attach(session, [to_text(_ready(connection, session))], after_seq)
        return session

    def read(self, frame: Frame) -> Asked:
        """See ``Dialect.read``."""
        if isinstance(frame, bytes) and not is_control(frame):
            return Audio(frame)
        match parse(frame if isinstance(frame, str) else frame.decode()):
            case messages.Ping():
                return Reply((to_text(messages.Pong()),), kind="pong")
            case messages.Flush():
                return Flush()
            case messages.Configure() as asked:
                terms = messages.to_terms(asked.vocabulary) if asked.vocabulary is not None else None
                return Configure(asked.endpoint_silence_seconds, vocabulary=terms, prompt=asked.prompt)
            case messages.Stop():
                return Stop()
            case _:
                raise PROBLEMS.error("already_started")

    def write(self, outgoing: Outgoing) -> list[Frame]:
        """See ``Dialect.write``."""
        match outgoing:
            case Acknowledged(received_bytes):
                return [to_text(messages.Ack(received_bytes=received_bytes))]
            case Notice(error, url):
                return [to_text(warning_message(error, url))]
            case Rejected(error):
                return [to_text(error_message(error, fatal=False))]
            case Leaving() | Answer():  # of those who ask for it: not this one
                return []
            case Failed(error) if close_code(error.code) == COME_BACK:
                return []
            case _:
                return [to_text(to_message(outgoing, words=self._words))]

    def deny(self, error: OpenmicError) -> Response | None:
        """See ``Dialect.deny``: browsers show no page an HTTP status, so a refusal is a message and a close code."""
        return None

    def refuse(self, error: OpenmicError) -> tuple[list[Frame], int]:
        """See ``Dialect.refuse``."""
        code = close_code(error.code)
        return [] if code == COME_BACK else [to_text(error_message(error, fatal=True))], code

    def close_code(self, last: Ended | Failed | Replaced) -> int:
        """See ``Dialect.close_code``."""
        match last:
            case Ended():
                return GOING_AWAY if last.reason == "shutdown" else DONE
            case Failed(error):
                return close_code(error.code)
            case Replaced():
                return close_code("replaced")


def _ready(connection: StreamConnection, session: Session) -> messages.Ready:
    info, settings = connection.sessions.engine.info, connection.settings
    return messages.Ready(
        session_id=session.id,
        resume_token=session.resume_token,
        model=info.name,
        device=info.device,
        received_bytes=session.received_bytes,
        limits=messages.StreamLimits(
            max_seconds=settings.max_seconds,
            idle_seconds=settings.idle_seconds,
            max_message_bytes=settings.max_message_bytes,
        ),
    )

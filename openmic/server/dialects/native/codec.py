"""The native dialect's two translations: text to client messages, session events to server messages."""

from __future__ import annotations

import json

from pydantic import TypeAdapter, ValidationError

from openmic.errors import OpenmicError
from openmic.server.dialects.native.messages import (
    CLIENT_TYPES,
    ClientMessage,
    Commit,
    Done,
    Error,
    Final,
    LiveMessage,
    Progress,
    Speech,
    Utterance,
    Warning,
)
from openmic.server.problems import PROBLEMS, TooManyStarts, TooManyWrongTokens
from openmic.sessions.events import (
    Committed,
    Ended,
    Failed,
    Finalised,
    Live,
    Progressed,
    Replaced,
    SessionEvent,
    SpeechChanged,
    UtteranceEnded,
    Warned,
)
from openmic.sessions.problems import ServerFull
from openmic.sessions.schemas import Message, revisions_json, segment_json, words_json

CLIENT_MESSAGE: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)
CONTROL_BYTES = 4096  # of a control message that comes as a binary one, at most
SHOWN_CHARACTERS = 40  # of a client's own text in an error


def parse(text: str) -> ClientMessage:
    """Read one control message.

    Raises:
        OpenmicError: ``bad_json``, ``unknown_type``, ``bad_message``.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PROBLEMS.error("bad_json") from error
    if not isinstance(value, dict):
        raise PROBLEMS.error("bad_json")
    kind = value.get("type")
    if kind not in CLIENT_TYPES:
        raise PROBLEMS.error("unknown_type", type=repr(kind)[:SHOWN_CHARACTERS], known=", ".join(CLIENT_TYPES))
    try:
        return CLIENT_MESSAGE.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"][1:])
        raise PROBLEMS.error("bad_message", type=kind, detail=f"{field}: {first['msg']}") from error


def is_control(data: bytes) -> bool:
    """Whether a binary message holds a control message; some libraries send text so. Sound never looks like one."""
    if not data.startswith(b"{") or len(data) > CONTROL_BYTES:
        return False
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and value.get("type") in CLIENT_TYPES


def to_text(message: Message) -> str:
    """A server message as it goes over the wire; optional fields that are null are left out."""
    return message.model_dump_json(exclude_none=True)


def error_message(error: OpenmicError, *, fatal: bool) -> Error:
    """A problem as an ``error`` message."""
    retry_after = error.retry_after if isinstance(error, ServerFull | TooManyStarts | TooManyWrongTokens) else None
    return Error(
        code=error.code, message=error.message, hint=error.hint, fatal=fatal, retry_after=retry_after, url=None
    )


def warning_message(error: OpenmicError, url: str | None = None) -> Warning:
    """A problem as a ``warning`` message; ``url``: where to go on, if that is what it is about."""
    return Warning(code=error.code, message=error.message, hint=error.hint, fatal=False, retry_after=None, url=url)


def to_message(event: SessionEvent, *, words: bool) -> Message:
    """A session's event as a message, with words where the client asked for them."""
    match event:
        case SpeechChanged(boundary):
            return Speech(state=boundary.state, at=boundary.at)
        case Live(seq, live):
            return LiveMessage(
                seq=seq,
                text=live.text,
                start=live.start,
                end=live.end,
                audio_seconds=live.audio_seconds,
                lag=live.lag,
                language=live.language,
                words=words_json(live.words) if words else None,
            )
        case Committed(seq, committed):
            return Commit(
                seq=seq,
                text=committed.text,
                start=committed.start,
                end=committed.end,
                language=committed.language,
                words=words_json(committed.words) if words else None,
            )
        case UtteranceEnded(over):
            return Utterance(end=over.end, cause=over.cause)
        case Progressed(progress, finishing):
            return Progress(
                stage="finishing" if finishing else "receiving",
                done_seconds=progress.walked_seconds,
                total_seconds=progress.total_seconds,
            )
        case Finalised(seq, final, live_text, revised):
            return Final(
                seq=seq,
                text=final.text,
                language=final.language,
                duration=final.duration,
                segments=[segment_json(segment, words=words) for segment in final.segments],
                model=final.model,
                live_text=live_text,
                revised=revisions_json(revised),
            )
        case Warned(error):
            return warning_message(error)
        case Ended(seq, reason, audio_seconds):
            return Done(seq=seq, reason=reason, audio_seconds=audio_seconds)
        case Failed(error):
            return error_message(error, fatal=True)
        case Replaced():
            return error_message(PROBLEMS.error("replaced"), fatal=True)

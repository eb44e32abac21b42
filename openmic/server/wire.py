"""The native dialect's two translations: text to client messages, session events to server messages."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

from pydantic import TypeAdapter, ValidationError

from openmic.errors import OpenmicError
from openmic.server.messages import (
    CLIENT_TYPES,
    ClientMessage,
    Commit,
    Done,
    Error,
    Final,
    LiveMessage,
    Progress,
    SessionJson,
    SessionSummary,
    Speech,
    TranscriptJson,
    Warning,
)
from openmic.server.parts import CommitJson, FinalJson, Message, RevisionJson, SegmentJson, WordJson
from openmic.server.problems import PROBLEMS, TooManyWrongTokens
from openmic.sessions.events import (
    Committed,
    Ended,
    Failed,
    Finalised,
    Heard,
    Live,
    Progressed,
    Replaced,
    SessionEvent,
    Warned,
)
from openmic.sessions.problems import ServerFull
from openmic.sessions.revised import Revision
from openmic.sessions.snapshot import SessionSnapshot
from openmic.sessions.types import CommittedText, FinalText, Segment, Word

CLIENT_MESSAGE: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)
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


def to_text(message: Message) -> str:
    """A server message as it goes over the wire; optional fields that are null are left out."""
    return message.model_dump_json(exclude_none=True)


def notice(error: OpenmicError, *, fatal: bool) -> Error:
    """A problem as an ``error`` message."""
    retry_after = error.retry_after if isinstance(error, ServerFull | TooManyWrongTokens) else None
    return Error(
        code=error.code, message=error.message, hint=error.hint, fatal=fatal, retry_after=retry_after, url=None
    )


def warned(error: OpenmicError, url: str | None = None) -> Warning:
    """A problem as a ``warning`` message; ``url``: where to go on, if that is what it is about."""
    return Warning(code=error.code, message=error.message, hint=error.hint, fatal=False, retry_after=None, url=url)


def to_message(event: SessionEvent, *, words: bool) -> Message:
    """A session's event as a message, with words where the client asked for them."""
    match event:
        case Heard(boundary):
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
            )
        case Committed(seq, committed):
            return Commit(
                seq=seq,
                text=committed.text,
                start=committed.start,
                end=committed.end,
                language=committed.language,
                words=_words(committed.words) if words else None,
            )
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
                segments=[_segment(segment, words=words) for segment in final.segments],
                model=final.model,
                live_text=live_text,
                revised=_revised(revised),
            )
        case Warned(error):
            return warned(error)
        case Ended(seq, reason, audio_seconds):
            return Done(seq=seq, reason=reason, audio_seconds=audio_seconds)
        case Failed(error):
            return notice(error, fatal=True)
        case Replaced():
            return notice(PROBLEMS.error("replaced"), fatal=True)


def to_summary(snapshot: SessionSnapshot) -> SessionSummary:
    """A session for the list of all."""
    return SessionSummary(
        id=snapshot.id,
        state=snapshot.state.value,
        created=datetime.fromtimestamp(snapshot.created, UTC).isoformat(timespec="milliseconds"),
        audio_seconds=snapshot.audio_seconds,
        received_bytes=snapshot.received_bytes,
        reason=snapshot.reason,
        error=snapshot.error.code if snapshot.error is not None else None,
    )


def to_session(snapshot: SessionSnapshot, commits: list[CommittedText]) -> SessionJson:
    """A session with all its words."""
    final = snapshot.final
    return SessionJson(
        **to_summary(snapshot).model_dump(),
        text=final.text if final is not None else f"{snapshot.committed_text} {snapshot.live_text}".strip(),
        live_text=snapshot.live_text,
        commits=_commits(commits),
        final=_final(final, snapshot) if final is not None else None,
    )


def to_transcript(snapshot: SessionSnapshot, commits: list[CommittedText]) -> TranscriptJson:
    """A session's text in the shape of openai-whisper's result."""
    said = snapshot.committed_text
    language = next((commit.language for commit in reversed(commits) if commit.language), "")
    final = snapshot.final or FinalText(said, language, snapshot.audio_seconds, (), "")
    return TranscriptJson(
        **to_summary(snapshot).model_dump(), **_final(final, snapshot).model_dump(), commits=_commits(commits)
    )


def _commits(commits: list[CommittedText]) -> list[CommitJson]:
    return [
        CommitJson(
            text=commit.text, start=commit.start, end=commit.end, language=commit.language, words=_words(commit.words)
        )
        for commit in commits
    ]


def _final(final: FinalText, snapshot: SessionSnapshot) -> FinalJson:
    return FinalJson(
        text=final.text,
        language=final.language,
        duration=final.duration,
        segments=[_segment(segment, words=True) for segment in final.segments],
        model=final.model,
        live_text=snapshot.committed_text,
        revised=_revised(snapshot.revised),
    )


def _revised(revised: tuple[Revision, ...]) -> list[RevisionJson]:
    return [RevisionJson(**asdict(revision)) for revision in revised]


def _segment(segment: Segment, *, words: bool) -> SegmentJson:
    return SegmentJson(
        id=segment.id,
        seek=segment.seek,
        start=segment.start,
        end=segment.end,
        text=segment.text,
        tokens=list(segment.tokens),
        temperature=segment.temperature,
        avg_logprob=segment.avg_logprob,
        compression_ratio=segment.compression_ratio,
        no_speech_prob=segment.no_speech_prob,
        words=_words(segment.words) if words else None,
    )


def _words(words: tuple[Word, ...]) -> list[WordJson]:
    return [WordJson(word=word.word, start=word.start, end=word.end, probability=word.probability) for word in words]

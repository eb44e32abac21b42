"""The JSON of a session and its transcript, the same on every wire, in downloads and in exports."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from openmic.sessions.snapshot import SessionSnapshot
from openmic.sessions.text.revisions import Revision
from openmic.speech.types import CommittedText, FinalText, Segment, Word

MOST_PROMPT_LETTERS = 4000  # of the text that comes before the first word; Whisper reads the end of it
MOST_TERMS, MOST_TERM_LETTERS = 1000, 100  # of a vocabulary, and of one of its terms

Milli = Annotated[float, PlainSerializer(lambda value: round(value, 3), return_type=float)]
"""A number that is sent with three digits behind the point: milliseconds, of what is in seconds."""
Seconds = Annotated[Milli, Field(description="seconds on the stream's audio clock, 0 is the first sample")]
Language = Annotated[
    str | None, Field(description="ISO 639-1, asked for or detected; left out until enough speech was heard to tell")
]


def _require_type(schema: dict[str, Any]) -> None:
    """A message without its ``type`` is none, though its model fills it in."""
    if "type" in schema["properties"]:
        schema["required"] = ["type", *schema.get("required", [])]


class Message(BaseModel):
    """What all messages have in common: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, protected_namespaces=(), json_schema_extra=_require_type)


class WordJson(Message):
    """One word, with the space before it."""

    word: str
    start: Seconds
    end: Seconds
    probability: Milli


class SegmentJson(Message):
    """One segment of the final text; fields as in openai-whisper's result."""

    id: int
    seek: int
    start: Seconds
    end: Seconds
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    words: list[WordJson] | None = Field(default=None, description="only if `start` asked for words")


class RevisionJson(Message):
    """One span of the live text that the final text changed; offsets count Unicode code points."""

    kind: Literal["words", "form"] = Field(description="`form`: only case, punctuation, hyphens or spaces differ")
    old: str = Field(description="`live_text[old_start:old_end]`; empty where something was added")
    old_start: int
    old_end: int
    new: str = Field(description="`text[new_start:new_end]`; empty where something was left out")
    new_start: int
    new_end: int
    start: Seconds | None = Field(default=None, description="of the span's words, the new ones where it has any")
    end: Seconds | None = None


class CommitJson(Message):
    """A committed stretch in the JSON of a session."""

    text: str
    start: Seconds
    end: Seconds
    language: Language = None
    words: list[WordJson]


class FinalJson(Message):
    """The final text in the JSON of a session; always with words where the model gave them."""

    text: str
    language: str
    duration: Milli
    segments: list[SegmentJson]
    model: str
    live_text: str = Field(default="", description="what all commits together said")
    revised: list[RevisionJson] = Field(default_factory=list, description="what `text` changed of `live_text`")


class SessionSummary(Message):
    """What is said of every session."""

    id: str
    state: Literal["receiving", "finishing", "ended"]
    created: str = Field(description="ISO 8601, UTC")
    audio_seconds: Milli
    received_bytes: int
    reason: Literal["stopped", "timeout", "shutdown"] | None = Field(description="why it takes no more audio")
    error: str | None = Field(description="the code of the error that ended it")


class ListedSession(SessionSummary):
    """A session in the list of ``GET /v1/sessions``."""

    holder: str | None = Field(description="the other server that has it, where several share a folder")
    holder_silent: bool = Field(description="that one is silent or has died: the next one takes the session up soon")


class SessionJson(SessionSummary):
    """``GET /v1/sessions/{id}``: how it stands, with the transcript now, or for good once ``final`` is there."""

    text: str = Field(description="the final text, or until then all commits and the live tail")
    live_text: str = Field(description="the unstable tail; empty once ended")
    commits: list[CommitJson]
    final: FinalJson | None


class TranscriptJson(SessionSummary, FinalJson):
    """``GET /v1/sessions/{id}.json``: a file for programs that read openai-whisper's JSON, with more fields beside it.

    Until there is a final, ``segments`` are empty, and ``text`` is what was committed.
    """

    commits: list[CommitJson]


def to_summary(snapshot: SessionSnapshot) -> SessionSummary:
    """A session without its words."""
    return SessionSummary(
        id=snapshot.id,
        state=snapshot.state.value,
        created=datetime.fromtimestamp(snapshot.created, UTC).isoformat(timespec="milliseconds"),
        audio_seconds=snapshot.audio_seconds,
        received_bytes=snapshot.received_bytes,
        reason=snapshot.reason,
        error=snapshot.error.code if snapshot.error is not None else None,
    )


def to_listed(snapshot: SessionSnapshot) -> ListedSession:
    """A session for the list of all."""
    return ListedSession(
        **to_summary(snapshot).model_dump(), holder=snapshot.holder, holder_silent=snapshot.holder_silent
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
            text=commit.text,
            start=commit.start,
            end=commit.end,
            language=commit.language,
            words=words_json(commit.words),
        )
        for commit in commits
    ]


def _final(final: FinalText, snapshot: SessionSnapshot) -> FinalJson:
    return FinalJson(
        text=final.text,
        language=final.language,
        duration=final.duration,
        segments=[segment_json(segment, words=True) for segment in final.segments],
        model=final.model,
        live_text=snapshot.committed_text,
        revised=revisions_json(snapshot.revised),
    )


def revisions_json(revised: tuple[Revision, ...]) -> list[RevisionJson]:
    """What the final text changed of the live text."""
    return [RevisionJson(**asdict(revision)) for revision in revised]


def segment_json(segment: Segment, *, words: bool) -> SegmentJson:
    """A segment of the final text, with its words where they are wanted."""
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
        words=words_json(segment.words) if words else None,
    )


def words_json(words: tuple[Word, ...]) -> list[WordJson]:
    """Words with their times."""
    return [WordJson(word=word.word, start=word.start, end=word.end, probability=word.probability) for word in words]

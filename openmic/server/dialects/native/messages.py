"""Every message of the native protocol ``openmic.v1``, and the JSON of a session.

``python -m openmic.server.dialects.native.messages`` prints the JSON schema of all of them, which is in
docs/protocol.schema.json. Unknown fields are ignored; docs/protocol.md says when each message is sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from openmic.sessions.schemas import (
    MOST_PROMPT_LETTERS,
    MOST_TERM_LETTERS,
    MOST_TERMS,
    Language,
    ListedSession,
    Message,
    Milli,
    RevisionJson,
    Seconds,
    SegmentJson,
    SessionJson,
    TranscriptJson,
    WordJson,
)
from openmic.sessions.state import ENDPOINT_SILENCE_SECONDS
from openmic.sessions.types import Term

MOST_NAME_LETTERS = 40  # of a language or an encoding: what is refused is repeated in the error
MOST_SOUNDS = 8  # ways in which a term may sound
SUBPROTOCOL = "openmic.v1"

# --- client to server


TermText = Annotated[str, Field(min_length=1, max_length=MOST_TERM_LETTERS)]
EndpointSilence = Annotated[float, Field(ge=ENDPOINT_SILENCE_SECONDS[0], le=ENDPOINT_SILENCE_SECONDS[1])]


class TermJson(Message):
    """A name or a term that may be said."""

    text: TermText = Field(description="as it is to be written")
    sounds_like: list[TermText] = Field(
        default_factory=list, max_length=MOST_SOUNDS, description="how it may sound, spelled as it is read aloud"
    )


VocabularyJson = Annotated[list[TermText | TermJson], Field(max_length=MOST_TERMS)]


class Start(Message):
    """The first message of a new stream."""

    type: Literal["start"] = "start"
    token: str | None = Field(default=None, description="the server's token, where no header or subprotocol carries it")
    language: str | None = Field(
        default=None,
        max_length=MOST_NAME_LETTERS,
        description="ISO 639-1, as `tr`; null: the server's default, else detected",
    )
    task: Literal["transcribe", "translate"] = Field(default="transcribe", description="`translate` gives English text")
    prompt: str | None = Field(
        default=None,
        max_length=MOST_PROMPT_LETTERS,
        description="text that every window is taken to follow: names, style; null: the server's",
    )
    vocabulary: VocabularyJson | None = Field(
        default=None, description="names and terms that may be said, as texts or `TermJson`; null: the server's default"
    )
    encoding: str = Field(
        default="auto",
        max_length=MOST_NAME_LETTERS,
        description="`auto` (a container), or `pcm_s16le`, `pcm_f32le` (raw samples)",
    )
    sample_rate: int | None = Field(default=None, description="of raw samples, in Hz; required for them")
    channels: int | None = Field(default=None, description="of raw samples, interleaved; null: one")
    words: bool = Field(default=False, description="send words with times in `live`, `commit` and `final`")
    endpoint_silence_seconds: EndpointSilence | None = Field(
        default=None, description="silence that ends an utterance; null: the server's default"
    )


class Resume(Message):
    """The first message after a reconnect, instead of ``start``."""

    type: Literal["resume"] = "resume"
    token: str | None = Field(default=None, description="the server's token, where no header or subprotocol carries it")
    session_id: str
    resume_token: str
    after_seq: int = Field(default=0, ge=0, description="the last `seq` the client has; what follows is sent again")


class Flush(Message):
    """Treat what was said so far as an ended utterance, now."""

    type: Literal["flush"] = "flush"


class Configure(Message):
    """Change something of a running stream; what is left out stays."""

    type: Literal["configure"] = "configure"
    endpoint_silence_seconds: EndpointSilence | None = Field(
        default=None, description="silence that ends an utterance from now on"
    )
    vocabulary: VocabularyJson | None = Field(
        default=None, description="instead of the present one, from the next step on"
    )
    prompt: str | None = Field(default=None, max_length=MOST_PROMPT_LETTERS, description="likewise")


class Stop(Message):
    """No more audio; send the final."""

    type: Literal["stop"] = "stop"


class Ping(Message):
    """Answered with ``pong``; whether the connection holds. It keeps no stream open that brings no sound."""

    type: Literal["ping"] = "ping"


def to_terms(vocabulary: Iterable[str | TermJson]) -> tuple[Term, ...]:
    """A vocabulary as the engine takes it."""
    return tuple(Term(one) if isinstance(one, str) else Term(one.text, tuple(one.sounds_like)) for one in vocabulary)


ClientMessage = Annotated[Start | Resume | Flush | Configure | Stop | Ping, Field(discriminator="type")]
CLIENT_TYPES = ("start", "resume", "flush", "configure", "stop", "ping")

# --- server to client


class StreamLimits(Message):
    """What a stream may use."""

    max_seconds: float = Field(description="longest audio of one session")
    idle_seconds: float = Field(description="time without any message after which the session is finished")
    max_message_bytes: int = Field(description="largest message the server takes")


class Ready(Message):
    """Audio may flow; after ``resume``: from byte ``received_bytes`` on."""

    type: Literal["ready"] = "ready"
    session_id: str
    resume_token: str = Field(description="keep it: it alone resumes this session")
    model: str
    device: str
    received_bytes: int
    limits: StreamLimits


class Ack(Message):
    """So many bytes are in the server's journal and need not be kept by the client."""

    type: Literal["ack"] = "ack"
    received_bytes: int


class Speech(Message):
    """Somebody began or ceased to speak."""

    type: Literal["speech"] = "speech"
    state: Literal["started", "ended"]
    at: Seconds


class LiveMessage(Message):
    """The unstable tail after all commits; replaces the previous one."""

    type: Literal["live"] = "live"
    seq: int = Field(description="that of the last counted message before it")
    text: str
    start: Seconds
    end: Seconds
    audio_seconds: Milli = Field(description="how much audio the server had heard when it worked this out")
    lag: Milli = Field(description="seconds of audio that had arrived since then")
    language: Language = None
    words: list[WordJson] | None = Field(default=None, description="only if `start` asked for words")


class Progress(Message):
    """How far the final pass is, about once a second while its text is waited for, or while it is far behind."""

    type: Literal["progress"] = "progress"
    stage: Literal["receiving", "finishing"] = Field(description="`finishing`: no more audio is taken")
    done_seconds: Milli = Field(description="audio that the final pass has done with")
    total_seconds: Milli = Field(description="audio that there is; while `receiving` it grows")


class Commit(Message):
    """Append ``text`` to the transcript as it is; never taken back."""

    type: Literal["commit"] = "commit"
    seq: int
    text: str
    start: Seconds
    end: Seconds
    language: Language = None
    words: list[WordJson] | None = Field(default=None, description="only if `start` asked for words")


class Utterance(Message):
    """All words up to ``end`` are committed; one for each ``speech`` that ended and one for each ``flush``."""

    type: Literal["utterance"] = "utterance"
    end: Seconds
    cause: Literal["silence", "flush", "stop"] = Field(description="`stop`: the stream ended in the middle of speech")


class Final(Message):
    """The whole recording, transcribed as one piece; replaces all that was shown."""

    type: Literal["final"] = "final"
    seq: int
    text: str
    language: str = Field(description="ISO 639-1; empty where nothing was said and none was asked for")
    duration: Milli = Field(description="seconds of audio")
    segments: list[SegmentJson]
    model: str
    live_text: str = Field(description="what all commits together said")
    revised: list[RevisionJson] = Field(
        default_factory=list, description="what `text` changed of `live_text`, in order; empty where nothing"
    )


class Notice(Message):
    """What a warning and an error have in common."""

    type: Literal["warning", "error"]
    code: str = Field(description="stable, for programs")
    message: str = Field(description="what happened and why")
    hint: str = Field(description="what to do")
    fatal: bool = Field(description="whether the connection closes after this message")
    retry_after: float | None = Field(
        default=None,
        description="with `server_full` and `too_many_wrong_tokens`: seconds until another try makes sense",
    )
    url: str | None = Field(
        default=None, description="with `public_url_changed`: where the service is found now, no token in it"
    )


class Warning(Notice):
    """Something to know about; the stream goes on."""

    type: Literal["warning"] = "warning"


class Error(Notice):
    """Something was refused; if ``fatal``, it is the last message."""

    type: Literal["error"] = "error"


class Pong(Message):
    """The answer to ``ping``."""

    type: Literal["pong"] = "pong"


class Done(Message):
    """The last message of a stream that went well."""

    type: Literal["done"] = "done"
    seq: int
    reason: Literal["stopped", "timeout", "shutdown"]
    audio_seconds: Milli


ServerMessage = Annotated[
    Ready | Ack | Speech | LiveMessage | Commit | Utterance | Progress | Final | Warning | Error | Pong | Done,
    Field(discriminator="type"),
]

# --- HTTP


class SessionList(Message):
    """``GET /v1/sessions``, the oldest first."""

    sessions: list[ListedSession]


def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of the client's messages, the server's messages and the sessions' JSON."""
    adapters: dict[str, TypeAdapter[Any]] = {
        "ClientMessage": TypeAdapter(ClientMessage),
        "ServerMessage": TypeAdapter(ServerMessage),
        "SessionJson": TypeAdapter(SessionJson),
        "SessionList": TypeAdapter(SessionList),
        "TranscriptJson": TypeAdapter(TranscriptJson),
    }
    schemas, shared = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in adapters.items()],
        title="openmic.v1",
        description="Messages of the WebSocket /v1/stream and the JSON of sessions; generated, see docs/protocol.md.",
    )
    unions = {name: schemas[name, "validation"] for name in ("ClientMessage", "ServerMessage")}
    shared["$defs"].update(unions)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **shared}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=2, ensure_ascii=False))

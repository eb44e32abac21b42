"""What the wire's messages are made of: numbers with their units, and the parts of a transcript."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

MOST_PROMPT_LETTERS = 4000  # of the text that comes before the first word; Whisper reads the end of it

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
    words: list[WordJson] | None = Field(None, description="only if `start` asked for words")


class RevisionJson(Message):
    """One span of the live text that the final text changed; offsets count Unicode code points."""

    kind: Literal["words", "form"] = Field(description="`form`: only case, punctuation, hyphens or spaces differ")
    old: str = Field(description="`live_text[old_start:old_end]`; empty where something was added")
    old_start: int
    old_end: int
    new: str = Field(description="`text[new_start:new_end]`; empty where something was left out")
    new_start: int
    new_end: int
    start: Seconds | None = Field(None, description="of the span's words, the new ones where it has any")
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
    live_text: str = Field("", description="what all commits together said")
    revised: list[RevisionJson] = Field(default_factory=list, description="what `text` changed of `live_text`")

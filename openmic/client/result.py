"""What a stream gives in the end."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from typing import Any

from openmic.errors import OpenmicError

Message = dict[str, Any]
"""One message of openmic.v1 as it came, fields by name."""

_LINE_LENGTH = 110


@dataclass(frozen=True, slots=True)
class Revision:
    """One span of the live text that the final text changed.

    Attributes:
        kind: "words", or "form" where only case, punctuation, hyphens or spaces differ.
        old: ``live_text[old_start:old_end]``; "" where something was added.
        new: ``text[new_start:new_end]``; "" where something was left out.
        start, end: seconds, where the span's words have times.
    """

    kind: str
    old: str
    old_start: int
    old_end: int
    new: str
    new_start: int
    new_end: int
    start: float | None = None
    end: float | None = None

    @classmethod
    def from_message(cls, message: Message) -> Revision:
        """Read one of a ``final`` message's ``revised``; fields of a newer service are left out."""
        return cls(**{field.name: message[field.name] for field in fields(cls) if field.name in message})


@dataclass(frozen=True, slots=True)
class Result:
    """The final transcript of one stream.

    Attributes:
        text: the whole recording, transcribed as one piece.
        language: ISO 639-1 code, given or detected.
        duration: seconds of audio.
        segments: as in openai-whisper's result (``start``, ``end``, ``text``, ``tokens``, ``words``, ...).
        model: the model that wrote it.
        live_text: what had been committed while the audio came in.
        revised: where ``text`` differs from ``live_text``, in order.
        session_id: under which the service keeps it for download.
        message: the ``final`` message whole.
    """

    text: str
    language: str
    duration: float
    segments: tuple[Message, ...]
    model: str
    live_text: str
    revised: tuple[Revision, ...]
    session_id: str
    message: Message

    @classmethod
    def from_message(cls, message: Message, session_id: str) -> Result:
        """Read a ``final`` message."""
        return cls(
            text=str(message["text"]),
            language=str(message["language"]),
            duration=float(message["duration"]),
            segments=tuple(message["segments"]),
            model=str(message["model"]),
            live_text=str(message.get("live_text") or ""),
            revised=tuple(Revision.from_message(one) for one in message.get("revised") or ()),
            session_id=session_id,
            message=message,
        )

    def json(self) -> str:
        """The ``final`` message as JSON for eyes and programs: what fits a line stands on one."""
        return readable_json(self.message)


class StreamFailed(OpenmicError):
    """A stream that was open ended with an error; what had been heard by then is not lost with it.

    Attributes:
        result: the final transcript, where it came before the error; else None.
        live_text: what had been committed.
        session_id: under which the service keeps what it has.
    """

    def __init__(self, error: OpenmicError, result: Result | None, live_text: str, session_id: str) -> None:
        super().__init__(error.code, error.what, error.why, error.hint)
        self.result = result
        self.live_text = live_text
        self.session_id = session_id


def readable_json(value: Any, indent: int = 0) -> str:
    """JSON in which every list or object that fits into a line is kept on one."""
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= _LINE_LENGTH or not isinstance(value, dict | list | tuple) or not value:
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        rows = [f"{pad}{json.dumps(k, ensure_ascii=False)}: {readable_json(v, indent + 2)}" for k, v in value.items()]
        return "{\n" + ",\n".join(rows) + "\n" + " " * indent + "}"
    if all(isinstance(item, int | float) for item in value):
        return flat
    return "[\n" + ",\n".join(pad + readable_json(item, indent + 2) for item in value) + "\n" + " " * indent + "]"

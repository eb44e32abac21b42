"""What a transcription session is set to: the client's updates, put together, and what the client is told of it.

Inside, everything has the shape of the GA interface; the names of 2025's beta are translated at both ends. Fields that
only give hints (noise reduction, thresholds, delays) are kept and told back, and change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from openmic.server.dialects.vendor import Json, to_prompt, to_terms
from openmic.server.problems import BadField
from openmic.sessions.types import SpeechOptions, language_code

Encoding = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]

PCM_RATE = 24_000  # Hz, of OpenAI's PCM
TELEPHONE_RATE = 8000  # Hz, of mu-law and A-law
BETA_FORMATS: Mapping[str, Encoding] = {"pcm16": "audio/pcm", "g711_ulaw": "audio/pcmu", "g711_alaw": "audio/pcma"}
BETA_INPUT = {
    "input_audio_format": "format",
    "input_audio_transcription": "transcription",
    "input_audio_noise_reduction": "noise_reduction",
    "turn_detection": "turn_detection",
}
"""The beta's names of what the GA interface has in ``audio.input``."""


class Format(BaseModel):
    """How the client's audio is encoded."""

    type: Encoding = "audio/pcm"
    rate: int | None = Field(default=None, ge=4000, le=192_000)

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return (self.rate or PCM_RATE) if self.type == "audio/pcm" else TELEPHONE_RATE

    @property
    def bytes_per_second(self) -> int:
        """On the wire, before base64."""
        return self.sample_rate * (2 if self.type == "audio/pcm" else 1)


class Transcription(BaseModel):
    """What is spoken."""

    model: str | None = None
    language: str | None = None
    languages: list[str] = []
    prompt: str | None = None
    keywords: list[str] = []


class TurnDetection(BaseModel):
    """What ends a turn."""

    type: Literal["server_vad", "semantic_vad"] = "server_vad"
    threshold: float | None = None
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = Field(default=None, ge=0)
    eagerness: str | None = None

    @property
    def silence_seconds(self) -> float | None:
        """The silence that ends a turn; None: the server's own."""
        return self.silence_duration_ms / 1000 if self.silence_duration_ms is not None else None


class Input(BaseModel):
    """``audio.input``."""

    format: Format = Format()
    transcription: Transcription = Transcription()
    noise_reduction: Json | None = None
    turn_detection: TurnDetection | None = TurnDetection(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=500)


class Audio(BaseModel):
    """``audio``."""

    input: Input = Input()


class TranscriptionSession(BaseModel):
    """All of it."""

    audio: Audio = Audio()
    include: list[str] = []

    @property
    def input(self) -> Input:
        """What nearly all of it is about."""
        return self.audio.input

    def options(self) -> SpeechOptions:
        """What an openmic session is asked for.

        Raises:
            OpenmicError: ``unknown_language``.
        """
        wanted = self.input.transcription
        named = [wanted.language] if wanted.language else wanted.languages
        language = language_code(named[0]) if len(named) == 1 else None
        return SpeechOptions(language, "transcribe", to_prompt(wanted.prompt), to_terms(wanted.keywords))

    def updated(self, patch: Json) -> TranscriptionSession:
        """This with the fields that ``patch`` names changed, and no others.

        Raises:
            OpenmicError: ``bad_request`` (as ``BadField``), ``unknown_language``.
        """
        try:
            changed = TranscriptionSession.model_validate(_merged(self.model_dump(), patch))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = ".".join(str(part) for part in ("session", *first["loc"]))
            raise BadField(name, f"`{name}`: {first['msg']}") from error
        changed.options()
        return changed


def from_beta(session: Json) -> Json:
    """An update in the beta's names, in those of the GA interface."""
    wanted: Json = {inner: session[outer] for outer, inner in BETA_INPUT.items() if outer in session}
    if "format" in wanted:
        wanted["format"] = {"type": BETA_FORMATS.get(wanted["format"], wanted["format"])}
    patch: Json = {"audio": {"input": wanted}}
    return patch | ({"include": session["include"]} if "include" in session else {})


def described(session: TranscriptionSession, session_id: str, model: str, *, beta: bool) -> Json:
    """What the client is told of its session; ``model`` is the one that runs."""
    given = session.input
    transcription = given.transcription.model_dump(exclude_none=True, exclude_defaults=True) | {"model": model}
    turns = given.turn_detection.model_dump(exclude_none=True) if given.turn_detection is not None else None
    common: Json = {"id": session_id, "object": "realtime.transcription_session", "include": session.include}
    if beta:
        names = {ga: beta_name for beta_name, ga in BETA_FORMATS.items()}
        return common | {
            "input_audio_format": names[given.format.type],
            "input_audio_transcription": transcription,
            "input_audio_noise_reduction": given.noise_reduction,
            "turn_detection": turns,
            "client_secret": None,
        }
    encoding: Json = {"type": given.format.type}
    if given.format.type == "audio/pcm" and given.format.sample_rate == PCM_RATE:
        encoding["rate"] = PCM_RATE  # of another one the SDK makes another kind of session
    heard = {
        "format": encoding,
        "transcription": transcription,
        "noise_reduction": given.noise_reduction,
        "turn_detection": turns,
    }
    return common | {"type": "transcription", "audio": {"input": heard}}


def _merged(old: Json, new: Json) -> Json:
    """``old`` with what ``new`` names; a null takes a field back to what it is without being named, or off."""
    merged = dict(old)
    for name, value in new.items():
        if name not in old:
            continue
        before = old[name]
        if name == "turn_detection" and isinstance(value, dict):
            before = None if before is None or before["type"] != value.get("type", before["type"]) else before
        if isinstance(value, dict) and isinstance(before, dict) and name != "format":
            merged[name] = _merged(before, value)
        elif value is None and name not in ("turn_detection", "noise_reduction"):
            merged.pop(name)
        else:
            merged[name] = value
    return merged

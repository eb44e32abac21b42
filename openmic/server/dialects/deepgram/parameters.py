"""What Deepgram's query asks for, in openmic's terms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from openmic.server.dialects.query import Query
from openmic.server.dialects.samples import converter
from openmic.server.problems import PROBLEMS
from openmic.sessions.types import AudioFormat, SpeechOptions, language_code

CONTAINERS = ("flac", "ogg-opus", "wav", "mp3", "webm")  # what the server finds out by itself
CONVERTED = {"linear32": "pcm_s32le", "mulaw": "mulaw", "alaw": "alaw"}
NO_PRIVACY = "What was said would reach you as it is"
NO_CONTENT = "Its results would be missing without a word"
NO_CALLBACK = "This server sends nothing to addresses that its clients name"
REFUSED = {
    "redact": NO_PRIVACY,
    "callback": NO_CALLBACK,
    **dict.fromkeys(("detect_entities", "search", "replace", "summarize", "topics", "intents"), NO_CONTENT),
    **dict.fromkeys(("sentiment", "custom_topic", "custom_intent"), NO_CONTENT),
}
UNUSED = ("diarize", "diarize_model")
"""Content that is asked for and left out; named in ``openmic.ignored``."""


@dataclass(frozen=True, slots=True)
class Audio:
    """The audio of one request.

    Attributes:
        format: what the session is told.
        channels: as the client said.
        seconds_per_byte: of what the session gets; None where it is in a container.
        convert: makes that of what the client sends.
    """

    format: AudioFormat
    channels: int
    seconds_per_byte: float | None
    convert: Callable[[bytes], bytes]


def read_audio(query: Query) -> Audio:
    """The audio that comes.

    Raises:
        OpenmicError: ``bad_request``, ``not_offered``.
    """
    encoding, channels = query.text("encoding"), query.integer("channels") or 1
    if query.flag("multichannel") and channels > 1:
        raise PROBLEMS.error("not_offered", name="`multichannel`", detail="All channels are mixed into one")
    if encoding is None or encoding in CONTAINERS:
        return Audio(AudioFormat(), channels, None, bytes)
    if encoding != "linear16" and encoding not in CONVERTED:
        known = ", ".join(("linear16", *CONVERTED, *CONTAINERS))
        raise PROBLEMS.error("not_offered", name=f"the encoding {encoding[:40]}", detail=f"It takes {known}")
    rate = query.integer("sample_rate")
    if rate is None:
        raise PROBLEMS.error("bad_request", detail=f"`sample_rate` is missing; {encoding} has no header that tells it")
    audio_format = AudioFormat("pcm_s16le", rate, channels)
    convert = converter(CONVERTED[encoding]) if encoding in CONVERTED else bytes
    return Audio(audio_format, channels, 1 / (2 * channels * rate), convert)


def read_options(query: Query, *terms: str, language: str = "language") -> SpeechOptions:
    """Language and terms.

    Raises:
        OpenmicError: ``unknown_language``, ``not_offered``.
    """
    query.refuse(REFUSED)
    return SpeechOptions(language_code(query.text(language)), vocabulary=query.terms(*terms))


def ignored(query: Query) -> list[str]:
    """What the client asks for and will miss."""
    return [name for name in UNUSED if query.asks_for(name)]

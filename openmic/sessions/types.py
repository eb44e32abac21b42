"""What a server needs to open a session and to read its events, from the rooms behind the sessions.

A server talks to the sessions alone; these names of the audio and speech rooms are part of what it says to them.
"""

from __future__ import annotations

from openmic.audio.decoder import AudioFormat
from openmic.audio.problems import PROBLEMS as AUDIO_PROBLEMS
from openmic.audio.types import SpeechBoundary
from openmic.speech.languages import language_code, language_name
from openmic.speech.types import (
    CommittedText,
    FinalText,
    LiveText,
    ModelInfo,
    Segment,
    SpeechOptions,
    Task,
    Term,
    UtteranceOver,
    Word,
)

__all__ = [
    "AUDIO_PROBLEMS",
    "AudioFormat",
    "CommittedText",
    "FinalText",
    "LiveText",
    "ModelInfo",
    "Segment",
    "SpeechBoundary",
    "SpeechOptions",
    "Task",
    "Term",
    "UtteranceOver",
    "Word",
    "language_code",
    "language_name",
]

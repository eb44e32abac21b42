"""Bytes to samples, samples to moments of speech, samples to files."""

from openmic.audio.decoder import decode
from openmic.audio.export import flac_stream, write_wav
from openmic.audio.formats import AudioFormat
from openmic.audio.problems import PROBLEMS
from openmic.audio.types import SAMPLE_RATE, ByteSource, Samples, SpeechBoundary
from openmic.audio.vad import VoiceActivity

__all__ = [
    "PROBLEMS",
    "SAMPLE_RATE",
    "AudioFormat",
    "ByteSource",
    "Samples",
    "SpeechBoundary",
    "VoiceActivity",
    "decode",
    "flac_stream",
    "write_wav",
]

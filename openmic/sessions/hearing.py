"""From a session's bytes to its recording, one stretch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from openmic.audio.decoder import AudioFormat, decode
from openmic.audio.types import ByteSource, SpeechBoundary
from openmic.audio.vad import VoiceActivity
from openmic.sessions.recording import DiskRecording


class RecordingFull(Exception):
    """The recording has as many samples as it may have; the rest of the bytes is not heard."""


def hear(
    source: ByteSource, audio_format: AudioFormat, recording: DiskRecording, max_samples: int, voice: VoiceActivity
) -> Iterator[Sequence[SpeechBoundary]]:
    """Decode ``source`` into ``recording`` until it ends.

    Yields:
        After each stretch that was added to the recording: the speech starts and ends found in it, often none. The
        ends that only the end of the stream shows are the caller's to ask for: ``voice.flush()``, whatever happened.

    Raises:
        RecordingFull: there was more than ``max_samples``; the recording holds exactly so many.
        OpenmicError: what the decoder raises.
        OSError: the recording cannot be written.
    """
    for samples in decode(source, audio_format):
        room = max_samples - len(recording)
        taken = samples[:room]
        recording.append(taken)
        yield voice.push(taken)
        if len(samples) > room:
            raise RecordingFull

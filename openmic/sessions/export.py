"""A session as a file: its transcript as JSON, text or subtitles, its sound as WAV or FLAC.

The server's downloads and the command line's exports are the same bytes. Sound comes in pieces, so that an hour takes
no more memory than a minute.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from openmic.audio.export import flac_stream
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.sessions.schemas import to_transcript
from openmic.sessions.snapshot import SessionSnapshot
from openmic.sessions.storage.recording import DiskRecording
from openmic.sessions.text.subtitles import cues, to_subtitles, to_text
from openmic.speech.types import CommittedText

MEDIA_TYPES = {
    "json": "application/json",
    "txt": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "wav": "audio/wav",
    "flac": "audio/flac",
}
SOUND = ("wav", "flac")
CHUNK_SAMPLES = 65_536  # read at once
HEADER_BYTES = 44
SAMPLE_BYTES = 2  # s16le
LARGEST_SIZE = 0xFFFF_FFFF  # what a WAV's 32-bit size fields can say; readers take it as "to the end"

TextFormat = Literal["json", "txt", "srt", "vtt"]
SoundFormat = Literal["wav", "flac"]


@dataclass(frozen=True, slots=True)
class Export:
    """A file.

    Attributes:
        chunks: its bytes, in pieces.
        length_bytes: of all of them, where that is known before.
    """

    chunks: Iterator[bytes]
    length_bytes: int | None


def export_text(
    file_format: TextFormat, snapshot: SessionSnapshot, commits: list[CommittedText], sound_seconds: float | None
) -> str:
    """The transcript as a file: the final text, or until there is one, what was committed.

    Args:
        file_format: of the file.
        snapshot: the session as it is.
        commits: all of them, in order.
        sound_seconds: how long the recording is: no subtitle ends later. None: not known.
    """
    if file_format == "json":
        return to_transcript(snapshot, commits).model_dump_json()
    lines = cues(snapshot.final.segments if snapshot.final is not None else commits)
    return to_text(lines) if file_format == "txt" else to_subtitles(lines, file_format, sound_seconds)


def export_sound(file_format: SoundFormat, recording: DiskRecording) -> Export:
    """The recording as it is now, 16 bits; it may go on growing, and the file ends early where it is deleted."""
    samples = len(recording)
    if file_format == "flac":
        return Export(flac_stream(_samples(recording, samples), samples), None)
    return Export(_wav(recording, samples), HEADER_BYTES + SAMPLE_BYTES * samples)


def wav_header(samples: int) -> bytes:
    """The 44 bytes before ``samples`` mono s16le samples at 16 kHz."""
    size = samples * SAMPLE_BYTES
    return struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        min(size + HEADER_BYTES - 8, LARGEST_SIZE),
        b"WAVE",
        b"fmt ",
        16,
        1,  # PCM
        1,  # channel
        SAMPLE_RATE,
        SAMPLE_RATE * SAMPLE_BYTES,
        SAMPLE_BYTES,
        8 * SAMPLE_BYTES,
        b"data",
        min(size, LARGEST_SIZE),
    )


def _wav(recording: DiskRecording, samples: int) -> Iterator[bytes]:
    yield wav_header(samples)
    for start in range(0, samples, CHUNK_SAMPLES):
        yield recording.read_pcm(start, min(start + CHUNK_SAMPLES, samples))


def _samples(recording: DiskRecording, samples: int) -> Iterator[Samples]:
    for start in range(0, samples, CHUNK_SAMPLES):
        yield recording.read(start, min(start + CHUNK_SAMPLES, samples))

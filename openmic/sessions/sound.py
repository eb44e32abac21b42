"""What a session heard, as a file to download: in pieces, so that an hour takes no more memory than a minute."""

from __future__ import annotations

from collections.abc import Iterator

from openmic.audio.encoder import flac_stream
from openmic.audio.types import Samples
from openmic.sessions.recording import DiskRecording, wav_header

CHUNK_SAMPLES = 65_536  # read at once


def wav_file(recording: DiskRecording, samples: int) -> Iterator[bytes]:
    """The first ``samples`` samples as a 16-bit WAV of ``wav_file_bytes``; the recording may go on growing.

    It ends early where the recording is deleted meanwhile.
    """
    yield wav_header(samples)
    for start in range(0, samples, CHUNK_SAMPLES):
        yield recording.read_pcm(start, min(start + CHUNK_SAMPLES, samples))


def wav_file_bytes(samples: int) -> int:
    """How long the WAV of so many samples is."""
    return len(wav_header(samples)) + 2 * samples


def flac_file(recording: DiskRecording, samples: int) -> Iterator[bytes]:
    """The first ``samples`` samples as a 16-bit FLAC: the same sound in about half the bytes."""
    return flac_stream(_chunks(recording, samples), samples)


def _chunks(recording: DiskRecording, samples: int) -> Iterator[Samples]:
    for start in range(0, samples, CHUNK_SAMPLES):
        yield recording.read(start, min(start + CHUNK_SAMPLES, samples))

"""The header of an ordinary 16-bit WAV.

FFmpeg reads 64 KiB into such a file before it gives the first sample, to see whether compressed surround sound hides in
it. At 16 kHz that is two seconds of a live stream, so this one kind is read here; every other WAV is left to FFmpeg.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from openmic.audio.formats import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS, AudioFormat

PCM = 1  # WAVE_FORMAT_PCM
EXTENSIBLE = 0xFFFE  # WAVE_FORMAT_EXTENSIBLE: the real format's number stands further behind
LONGEST_HEADER = 65_536  # bytes of tags and padding before the sound, at most
UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)  # what programs write that cannot come back to fill it in


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What follows in the stream.

    Attributes:
        audio_format: of the samples.
        header_bytes: where they begin.
        data_bytes: how many bytes of them there are; None: all there are.
    """

    audio_format: AudioFormat
    header_bytes: int
    data_bytes: int | None


def read_header(peek: Callable[[int], bytes]) -> WavHeader | None:
    """Read a RIFF WAVE header.

    Args:
        peek: gives the stream's first n bytes without taking them, fewer only if it has no more.

    Returns:
        None where it is not 16-bit PCM, has no sound within LONGEST_HEADER, or says what cannot be.
    """
    offset = 12  # behind "RIFF", the length and "WAVE"
    audio_format: AudioFormat | None = None
    while offset + 8 <= LONGEST_HEADER:
        chunk = peek(offset + 8)[offset:]
        if len(chunk) < 8:
            return None
        name, length = struct.unpack("<4sI", chunk)
        offset += 8
        if name == b"data":
            data_bytes = None if length in UNKNOWN_LENGTHS else length
            return WavHeader(audio_format, offset, data_bytes) if audio_format else None
        if name == b"fmt ":
            audio_format = _pcm_format(peek(offset + min(length, 40))[offset:])
        offset += length + length % 2
    return None


def _pcm_format(chunk: bytes) -> AudioFormat | None:
    """The format in a ``fmt`` chunk, if it is 16-bit PCM."""
    if len(chunk) < 16:
        return None
    tag, channels, rate, _, frame_bytes, bits = struct.unpack("<HHIIHH", chunk[:16])
    if tag == EXTENSIBLE and len(chunk) >= 26:
        (tag,) = struct.unpack("<H", chunk[24:26])
    if tag != PCM or bits != 16 or frame_bytes != 2 * channels:
        return None
    if not (LOWEST_RATE <= rate <= HIGHEST_RATE and 1 <= channels <= MOST_CHANNELS):
        return None
    return AudioFormat("pcm_s16le", rate, channels)

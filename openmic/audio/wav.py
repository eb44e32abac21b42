"""WAV as programs really write it.

The length that a header promises is often wrong: written before the end was known, or never corrected. What stands
behind the promised sound is sound too, unless it has a chunk's name. And FFmpeg reads 64 KiB into a file of 16-bit
samples before it gives the first one, to see whether compressed surround sound hides in it, which at 16 kHz are two
seconds of a live stream: so this one kind is read here, and all others by FFmpeg, which is told of no length.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from openmic.audio.chain import ChainReader
from openmic.audio.formats import HIGHEST_RATE, LOWEST_RATE, MOST_CHANNELS, AudioFormat

PCM = 1  # WAVE_FORMAT_PCM
EXTENSIBLE = 0xFFFE  # WAVE_FORMAT_EXTENSIBLE: the real format's number stands further behind
LONGEST_HEADER = 65_536  # bytes of tags and padding before the sound, at most
UNKNOWN_LENGTHS = (0, 0xFFFFFFFF)  # what programs write that cannot come back to fill it in
CHUNK = struct.Struct("<4sI")

CHUNKS_BEHIND_SOUND = frozenset(
    b"LIST INFO id3  ID3  bext fact cue  smpl inst plst JUNK junk PAD  FLLR PEAK iXML _PMX aXML axml chna DISP cart "
    b"acid strc umid minf elm1 regn levl link slnt wavl afsp tlst note labl ltxt data"[i : i + 4]
    for i in range(0, 5 * 38, 5)
)
"""Names of chunks that may stand behind the sound; whatever else is there is more sound."""


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What follows in the stream.

    Attributes:
        header: its bytes, up to the sound.
        audio_format: of the samples, where they are 16-bit PCM; else None.
        data_bytes: how many bytes of sound are promised; None: all there are.
    """

    header: bytes
    audio_format: AudioFormat | None
    data_bytes: int | None

    def without_length(self) -> bytes:
        """The header as of a program that streams and knows no length."""
        return b"RIFF\xff\xff\xff\xff" + self.header[8:-4] + b"\xff\xff\xff\xff"


def read_header(peek: Callable[[int], bytes]) -> WavHeader | None:
    """Read a RIFF WAVE or RF64 header (EBU Tech 3306).

    Args:
        peek: gives the stream's first n bytes without taking them, fewer only if it has no more.

    Returns:
        None where it has no sound within LONGEST_HEADER.
    """
    offset = 12  # behind "RIFF", the length and "WAVE"
    audio_format: AudioFormat | None = None
    long_bytes = None
    while offset + CHUNK.size <= LONGEST_HEADER:
        chunk = peek(offset + CHUNK.size)[offset:]
        if len(chunk) < CHUNK.size:
            return None
        name, length = CHUNK.unpack(chunk)
        offset += CHUNK.size
        if name == b"data":
            promised = None if length in UNKNOWN_LENGTHS else length
            return WavHeader(peek(offset), audio_format, promised or long_bytes)
        if name == b"fmt ":
            audio_format = _pcm_format(peek(offset + min(length, 40))[offset:])
        elif name == b"ds64" and length >= 16:
            long_bytes = struct.unpack("<8xQ", peek(offset + 16)[offset:].ljust(16, b"\0"))[0] or None
        offset += length + length % 2
    return None


class WavSound:
    """The sound behind a header: as much as was promised, and what comes behind it if it is no chunk.

    Args:
        reader: at the sound's first byte.
        data_bytes: as promised; None: no promise.
        prefix: what is read before the sound.
    """

    def __init__(self, reader: ChainReader, data_bytes: int | None, prefix: bytes = b"") -> None:
        self._reader = reader
        self._left = data_bytes
        self._odd = data_bytes is not None and data_bytes % 2 == 1
        self._prefix = prefix

    def read(self, size: int) -> bytes:
        """At least one byte, at most ``size``; ``b""`` at the end."""
        if self._prefix:
            data, self._prefix = self._prefix[:size], self._prefix[size:]
            return data
        if self._left == 0 and not self._look_behind():
            return b""
        data = self._reader.read(size if self._left is None else min(size, self._left))
        if self._left is not None:
            self._left -= len(data)
        return data

    def _look_behind(self) -> bool:
        """Skip the chunks behind the promised sound; returns whether more sound follows.

        Where a chunk follows, the promise was right, and what comes behind the chunks is none.
        """
        promise_was_right = False
        while True:
            ahead = self._reader.peek(CHUNK.size + 1)
            padding = 1 if self._odd and ahead[1:5] in CHUNKS_BEHIND_SOUND else 0
            chunk = ahead[padding : padding + CHUNK.size]
            if len(chunk) < CHUNK.size or chunk[:4] not in CHUNKS_BEHIND_SOUND:
                self._left = 0 if promise_was_right else None
                return not promise_was_right
            name, length = CHUNK.unpack(chunk)
            self._reader.skip(padding + CHUNK.size)
            self._odd = length % 2 == 1
            promise_was_right = True
            if name == b"data":
                self._left = None if length in UNKNOWN_LENGTHS else length
                return True
            self._reader.skip(length)


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

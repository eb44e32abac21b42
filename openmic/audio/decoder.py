"""A client's bytes to samples, as they come.

FFmpeg, through PyAV, reads from a Python callback; while that waits for a client that is speaking, FFmpeg's call stands
still in this session's thread without holding the interpreter lock. To give the first words as early as the bytes
allow, nothing is probed: the container is known from its first bytes (`formats.sniff`), and FFmpeg is told not to
look further ahead than the header.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

import av
import numpy as np
from av.container import InputContainer

from openmic.audio.chain import ChainReader
from openmic.audio.formats import (
    CONTAINERS,
    SNIFF_BYTES,
    SYNC_BYTES,
    TAG_BYTES,
    AudioFormat,
    mpeg_sync,
    refused_name,
    sniff,
    tag_bytes,
)
from openmic.audio.mp4 import check_header
from openmic.audio.problems import PROBLEMS
from openmic.audio.resampler import Resampler
from openmic.audio.tracks import Lost, Sound, TrackReader, check_memory
from openmic.audio.types import SAMPLE_RATE, ByteSource, Samples
from openmic.audio.wav import WavSound, read_header
from openmic.errors import OpenmicError
from openmic.pyav import open_input

__all__ = ["AudioFormat", "decode"]

READ_BYTES = 32_768  # most that is asked of a source at once
REST_BYTES = 8_192  # behind the sound; more than tags and a damaged last packet have
MOST_ZEROS = 65_536  # in front of a header
WITH_A_CLOCK = ("matroska", "mov", "ogg")  # the others' timestamps are counted from their samples
NOTHING_BUT_SOUND = ("flac", "mp3", "aac", "ogg")  # no index or picture stands behind it

NOT_LOOKING_AHEAD = {
    "probesize": "32",  # bytes, the least FFmpeg takes
    "analyzeduration": "1",  # microseconds; 0 would mean FFmpeg's own five seconds
    "fflags": "+ignidx",  # play fragmented MP4 as it comes, instead of reading it to its end for an index first
}

Warn = Callable[[OpenmicError], None]
"""Told what a client should know, while its sound goes on."""


def ignore_warning(warning: OpenmicError) -> None:
    """A sink that ignores everything."""


def decode(source: ByteSource, audio_format: AudioFormat, warn: Warn = ignore_warning) -> Iterator[Samples]:
    """Decode a stream that may still be growing.

    Runs in the session's own thread: each step waits in ``source.read`` until there is something to decode. What a
    cut or damaged stream still holds is decoded. Containers that come one after another are one stream.

    Args:
        source: where the bytes come from. It is only ever asked to seek in an MP4 file.
        audio_format: what the client said about them.
        warn: told ``audio_not_understood`` where bytes of a container come to nothing.

    Yields:
        Samples at SAMPLE_RATE, one to SAMPLE_RATE at a time. Sample n of all is at n / SAMPLE_RATE seconds; where a
        container's clock jumps forward by less than half an hour, there is silence between (``clock.StreamClock``).
        They end when the source does.

    Raises:
        OpenmicError: ``audio_empty``, ``audio_not_decodable``, ``audio_track_missing``, ``audio_too_costly``.
        Exception: whatever ``source.read`` raised, after the decoder was closed.
    """
    stream = _Stream(source, warn)
    sounds = stream.containers() if audio_format.encoding == "auto" else _from_pcm(source, audio_format)
    resampler = Resampler()
    for sound, rate in sounds:
        for samples in resampler.push(sound, rate):
            stream.samples += len(samples)
            yield samples
    for samples in resampler.flush():
        stream.samples += len(samples)
        yield samples
    stream.reader.check()
    if stream.samples == 0:
        raise PROBLEMS.error("audio_empty")


class _Readable(Protocol):
    def read(self, size: int) -> bytes: ...


class _OneWay:
    """A reader of which FFmpeg does not know that it can seek."""

    def __init__(self, readable: _Readable) -> None:
        self.read = readable.read


class _Stream:
    """One client's stream while it is decoded.

    Attributes:
        reader: its bytes.
        samples: given out so far.
    """

    def __init__(self, source: ByteSource, warn: Warn) -> None:
        self.reader = ChainReader(source)
        self.samples = 0
        self._warn = warn
        self._track: TrackReader | None = None  # of the present part, if FFmpeg reads it

    def containers(self) -> Iterator[Sound]:
        """The sound of all parts, one after another."""
        first = True
        while True:
            try:
                yield from self._container()
                lost = False
            except Lost:
                lost = True
            except OpenmicError as error:
                if first:
                    raise
                self._warn(error)  # what was said before it stays
                lost = False
            kind, track, read = self.reader.kind, self._track, self.reader.tell()
            nothing_but_sound = kind in NOTHING_BUT_SOUND or (kind == "mov" and self.reader.fragmented)
            more, left = self.reader.next_part()
            self.reader.check()
            if nothing_but_sound and track is not None and track.understood_bytes:
                left += read - track.understood_bytes
            if (lost and left > 0) or left > REST_BYTES:
                seconds = self.samples / SAMPLE_RATE
                self._warn(
                    PROBLEMS.error("audio_not_understood", seconds=seconds, bytes=left, container=CONTAINERS[kind])
                )
            if not more:
                return
            first = False

    def _container(self) -> Iterator[Sound]:
        """The sound of one part."""
        reader, self._track = self.reader, None
        head = self._skip_to_header()
        reader.check()
        if not head:
            return
        name = sniff(head)
        if name is None:
            refused = refused_name(head)
            if refused is not None:
                raise PROBLEMS.error("audio_not_decodable", detail=f"it is {refused}")
            offset = mpeg_sync(reader.peek(SYNC_BYTES))
            reader.check()
            if offset is None:
                raise PROBLEMS.error("audio_not_decodable", detail=f"it begins with {head[:4].hex(' ')}")
            reader.skip(offset)
            reader.part_begins()
            name = sniff(reader.peek(SNIFF_BYTES)) or "mp3"
        reader.kind = name
        file: object = reader if name == "mov" else _OneWay(reader)
        header = read_header(reader.peek) if name == "wav" else None
        reader.check()
        if header is not None:
            reader.skip(len(header.header))
            if header.audio_format is not None:
                yield from _from_pcm(WavSound(reader, header.data_bytes), header.audio_format)
                return
            file = _OneWay(WavSound(reader, header.data_bytes, header.without_length()))
        if name == "mov":
            check_header(reader)
            reader.check()
            reader.seek(0)
        with self._open(file, name) as container:
            self._track = TrackReader(container, CONTAINERS[name], has_clock=name in WITH_A_CLOCK)
            yield from self._track.sounds()

    def _skip_to_header(self) -> bytes:
        """The first SNIFF_BYTES behind tags and zeros."""
        reader, zeros = self.reader, 0
        while True:
            head = reader.peek(SNIFF_BYTES)
            leading = len(head) - len(head.lstrip(b"\0"))
            if leading > 0 and sniff(head) is None and zeros < MOST_ZEROS:
                skipped = max(1, leading - 3)  # MP4's first box begins with up to three
                zeros += skipped
                reader.skip(skipped)
            elif head[:3] in (b"ID3", b"APE") and (size := tag_bytes(reader.peek(TAG_BYTES))):
                reader.skip(size)
            elif zeros and not head and not reader.more_follows:
                raise PROBLEMS.error("audio_not_decodable", detail="it is nothing but zeros")
            else:
                return head
            reader.part_begins()

    def _open(self, file: object, name: str) -> InputContainer:
        """Read the header, and no more than that."""
        try:
            return open_input(file, format=name, options=NOT_LOOKING_AHEAD, buffer_size=READ_BYTES)
        except av.FFmpegError as error:
            check_memory(error)
            self.reader.check()
            detail = f"its {CONTAINERS[name]} header is broken or incomplete"
            raise PROBLEMS.error("audio_not_decodable", detail=detail) from error


def _from_pcm(readable: _Readable, audio_format: AudioFormat) -> Iterator[Sound]:
    """Raw interleaved samples; half a sample at the end is dropped."""
    rate, channels = audio_format.sample_rate, audio_format.channels or 1
    assert rate is not None  # AudioFormat has seen to it
    dtype = np.dtype("<i2" if audio_format.encoding == "pcm_s16le" else "<f4")
    frame_bytes = dtype.itemsize * channels
    rest = b""
    while data := readable.read(READ_BYTES):
        rest += data
        whole = len(rest) - len(rest) % frame_bytes
        yield np.frombuffer(rest[:whole], dtype).reshape(-1, channels), rate
        rest = rest[whole:]

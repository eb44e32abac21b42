"""A client's bytes to samples, as they come.

FFmpeg, through PyAV, reads from a Python callback; while that waits for a client that is speaking, FFmpeg's call stands
still in this session's thread without holding the interpreter lock. To give the first words as early as the bytes
allow, nothing is probed: the container is known from its first bytes (`formats.sniff`), and FFmpeg is told not to
look further ahead than the header.
"""

from __future__ import annotations

from collections.abc import Iterator

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from openmic.audio.formats import (
    CODECS,
    CONTAINERS,
    HIGHEST_RATE,
    LOWEST_RATE,
    SNIFF_BYTES,
    AudioFormat,
    sniff,
    tag_bytes,
)
from openmic.audio.mp4 import check_header
from openmic.audio.problems import PROBLEMS
from openmic.audio.resampler import Resampler
from openmic.audio.types import ByteSource, Samples
from openmic.audio.wav import read_header
from openmic.pyav import open_input

__all__ = ["AudioFormat", "decode"]

READ_BYTES = 32_768  # most that is asked of a source at once
MOST_FAILURES_IN_A_ROW = 100  # packets that cannot be read or decoded, before the rest counts as lost

NOT_LOOKING_AHEAD = {
    "probesize": "32",  # bytes, the least FFmpeg takes
    "analyzeduration": "1",  # microseconds; 0 would mean FFmpeg's own five seconds
    "fflags": "+ignidx",  # play fragmented MP4 as it comes, instead of reading it to its end for an index first
}


def decode(source: ByteSource, audio_format: AudioFormat) -> Iterator[Samples]:
    """Decode a stream that may still be growing.

    Runs in the session's own thread: each step waits in ``source.read`` until there is something to decode. What a
    cut or damaged stream still holds is decoded, and the rest skipped without an error.

    Args:
        source: where the bytes come from. It is only ever asked to seek in an MP4 file.
        audio_format: what the client said about them.

    Yields:
        Samples at SAMPLE_RATE, one to SAMPLE_RATE at a time. Sample n of all is at n / SAMPLE_RATE seconds, whatever
        timestamps the container has. They end when the source does.

    Raises:
        OpenmicError: ``audio_empty``, ``audio_not_decodable``, ``audio_track_missing``.
        Exception: whatever ``source.read`` raised, after the decoder was closed.
    """
    resampler = Resampler()
    reader = _Reader(source)
    sounds = _from_container(reader) if audio_format.encoding == "auto" else _from_pcm(reader, audio_format, None)
    empty = True
    for sound, rate in sounds:
        for samples in resampler.push(sound, rate):
            empty = False
            yield samples
    for samples in resampler.flush():
        empty = False
        yield samples
    while reader.read(READ_BYTES):  # what stands behind the sound; the client is still there
        pass
    reader.check()
    if empty:
        raise PROBLEMS.error("audio_empty")


Sound = tuple[NDArray[np.generic], int]
"""A stretch of sound, shape (n, channels), and its rate in Hz."""


class _Reader:
    """The source as FFmpeg may see it: a stream that ends early if the source fails, and remembers why."""

    def __init__(self, source: ByteSource) -> None:
        self._source = source
        self._head = b""
        self.failure: Exception | None = None

    def peek(self, size: int) -> bytes:
        """The stream's first ``size`` bytes (fewer only if it has no more), which the next read returns again."""
        while len(self._head) < size:
            data = self.read_source(size - len(self._head))
            if not data:
                break
            self._head += data
        return self._head[:size]

    def read(self, size: int) -> bytes:
        """What ByteSource.read says, but never more than ``size``, and ``b""`` after a failure."""
        if self._head:
            data, self._head = self._head[:size], self._head[size:]
            return data
        return self.read_source(size)

    def skip(self, size: int) -> None:
        """Read ``size`` bytes for nothing."""
        while size > 0 and (data := self.read(min(size, READ_BYTES))):
            size -= len(data)

    def read_source(self, size: int) -> bytes:
        if self.failure is not None:
            return b""
        try:
            return self._source.read(size)[:size]
        except Exception as error:
            self.failure = error
            return b""

    def check(self) -> None:
        """Raise what the source raised."""
        if self.failure is not None:
            raise self.failure

    def seekable(self) -> _SeekableReader:
        """The same stream from its first byte, for a demuxer that goes back and forth."""
        self._head = b""
        self._source.seek(0)
        return _SeekableReader(self, self._source)


class _SeekableReader:
    """What MP4 needs, whose index may stand behind the sound it describes; FFmpeg seeks wherever it finds a seek."""

    def __init__(self, reader: _Reader, source: ByteSource) -> None:
        self.read = reader.read
        self.tell = source.tell
        self._source = source

    def seek(self, offset: int, whence: int = 0) -> int:
        """As ByteSource.seek; -1 for the end of the file, which nobody knows while it grows."""
        return self._source.seek(offset, whence) if whence in (0, 1) else -1


def _from_pcm(reader: _Reader, audio_format: AudioFormat, length: int | None) -> Iterator[Sound]:
    """Raw interleaved samples, ``length`` bytes of them or all; half a sample at the end is dropped."""
    rate, channels = audio_format.sample_rate, audio_format.channels or 1
    assert rate is not None  # AudioFormat has seen to it
    dtype = np.dtype("<i2" if audio_format.encoding == "pcm_s16le" else "<f4")
    frame_bytes = dtype.itemsize * channels
    rest = b""
    while data := reader.read(READ_BYTES if length is None else min(length, READ_BYTES)):
        if length is not None:
            length -= len(data)
        rest += data
        whole = len(rest) - len(rest) % frame_bytes
        yield np.frombuffer(rest[:whole], dtype).reshape(-1, channels), rate
        rest = rest[whole:]
    reader.check()


def _from_container(reader: _Reader) -> Iterator[Sound]:
    """The first audio track of a container."""
    head, tagged = reader.peek(SNIFF_BYTES), False
    while length := tag_bytes(head):  # FFmpeg would unpack what is in it
        reader.skip(length)
        head, tagged = reader.peek(SNIFF_BYTES), True
    reader.check()
    name = sniff(head) or ("mp3" if tagged and head else None)  # padding may follow a tag
    if name is None:
        if not head:
            return
        raise PROBLEMS.error("audio_not_decodable", detail=f"it begins with {head[:4].hex(' ')}")
    header = read_header(reader.peek) if name == "wav" else None
    reader.check()
    if header is not None:
        reader.read(header.header_bytes)
        yield from _from_pcm(reader, header.audio_format, header.data_bytes)
        return
    with _open(reader, name) as container:
        if not container.streams.audio:
            found = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
            raise PROBLEMS.error("audio_track_missing", container=CONTAINERS[name], found=found)
        yield from _from_track(container, container.streams.audio[0], CONTAINERS[name])
        reader.check()


def _open(reader: _Reader, name: str) -> InputContainer:
    """Read the header, and no more than that."""
    if name == "mov":
        check_header(reader.seekable())
        reader.check()
    file = reader.seekable() if name == "mov" else reader
    try:
        return open_input(file, format=name, options=NOT_LOOKING_AHEAD, buffer_size=READ_BYTES)
    except av.FFmpegError as error:
        _check_memory(error)
        reader.check()
        detail = f"its {CONTAINERS[name]} header is broken or incomplete"
        raise PROBLEMS.error("audio_not_decodable", detail=detail) from error


def _from_track(container: InputContainer, track: AudioStream, kind: str) -> Iterator[Sound]:
    """All frames of a track that can be decoded."""
    if track.codec_context is None:
        raise PROBLEMS.error("audio_not_decodable", detail=f"a codec inside {kind} that is not known here")
    codec = track.codec_context.codec.canonical_name
    if codec not in CODECS and not codec.startswith("pcm_"):
        raise PROBLEMS.error("audio_not_decodable", detail=f"{codec} inside {kind}, which is not used here")
    rate = track.codec_context.sample_rate  # 0 where only the frames tell
    if rate and not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise PROBLEMS.error("audio_not_decodable", detail=f"{kind} at {rate} Hz")
    failures = 0  # in a row
    decoded = False
    for packet in _packets(container, track):
        try:
            sounds = [_sound(frame) for frame in track.codec_context.decode(packet)]
        except (av.FFmpegError, ValueError) as error:
            _check_memory(error)
            failures += 1
            if failures > MOST_FAILURES_IN_A_ROW:
                break
            continue
        failures = 0
        for sound in sounds:
            decoded = True
            yield sound
    if failures and not decoded:
        raise PROBLEMS.error("audio_not_decodable", detail=f"nothing inside its {kind} container can be decoded")


def _packets(container: InputContainer, track: AudioStream) -> Iterator[av.Packet[AudioStream] | None]:
    """The packets of a track, past what is damaged, then None, which makes the decoder give the last it holds."""
    failures = 0  # in a row
    while failures <= MOST_FAILURES_IN_A_ROW:
        try:
            for packet in container.demux(track):
                if packet.size:  # PyAV ends with an empty one
                    failures = 0
                    yield packet
            break
        except (av.FFmpegError, ValueError) as error:
            _check_memory(error)
            failures += 1
    yield None


def _check_memory(error: Exception) -> None:
    """Raise what is no damage of the stream: it asks for more memory than there is.

    Raises:
        OpenmicError: ``audio_too_costly``.
    """
    if isinstance(error, MemoryError):
        raise PROBLEMS.error("audio_too_costly") from error


def _sound(frame: av.AudioFrame) -> Sound:
    """A decoded frame's samples.

    Raises:
        ValueError: a sample format that NumPy has no name for, or a rate that nobody records at.
    """
    if not LOWEST_RATE <= frame.sample_rate <= HIGHEST_RATE:
        raise ValueError(f"{frame.sample_rate} Hz")
    array = frame.to_ndarray()  # planar: (channels, n); packed: (1, n * channels)
    sound = array.T if frame.format.is_planar else array.reshape(-1, len(frame.layout.channels))
    return sound, frame.sample_rate

"""One recording in every container that a client may send, made with PyAV; and a client that sends it."""

from __future__ import annotations

import io
import random
import struct
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import OutputContainer
from numpy.typing import NDArray

RATE = 16_000  # Hz, of every recording here that says nothing else

Recording = NDArray[np.int16]  # mono, shape (n,), at RATE


def read_wav(path: Path) -> Recording:
    """The samples of a 16 kHz mono WAV or FLAC file."""
    with av.open(str(path)) as file:
        return np.concatenate([frame.to_ndarray()[0] for frame in file.decode(audio=0)])


def encode(
    recording: Recording,
    container: str,
    codec: str,
    *,
    rate: int = RATE,
    options: dict[str, str] | None = None,
    streamed: bool = False,
    title: str = "",
    layout: str = "mono",
) -> bytes:
    """The recording in one container.

    ``streamed``: by a muxer that cannot go back to fill in a length; ``title``: a tag, which stands at the file and at
    the track, as far as the container has both.
    """
    target: io.BytesIO | OneWay = OneWay() if streamed else io.BytesIO()
    with av.open(target, "w", format=container, options=options or {}) as file:
        track = audio_track(file, codec, rate, layout)
        if title:
            file.metadata["title"] = track.metadata["title"] = track.metadata["handler_name"] = title
        resampler = av.AudioResampler(track.codec_context.format, layout, rate, track.codec_context.frame_size or None)
        frame = av.AudioFrame.from_ndarray(recording[np.newaxis], format="s16", layout="mono")
        frame.sample_rate = RATE
        for ready in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(track.encode(ready))
        file.mux(track.encode(None))
    return target.getvalue()


def audio_track(file: OutputContainer, codec: str, rate: int, layout: str) -> av.AudioStream:
    """A new track, known as one of sound."""
    track = file.add_stream(codec, rate=rate, layout=layout)
    assert isinstance(track, av.AudioStream)
    return track


def times(packet: av.Packet[Any]) -> tuple[int, int, float]:
    """When a packet is heard and when it is decoded, and the seconds that these count."""
    assert packet.pts is not None
    assert packet.dts is not None
    assert packet.time_base is not None
    return packet.pts, packet.dts, float(packet.time_base)


def decoded_at(packet: av.Packet[Any]) -> float:
    """The second in which a packet is decoded: the order of packets in a file."""
    _, dts, unit = times(packet)
    return dts * unit


class OneWay:
    """A file that can only be written on, as a recorder in a browser writes."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def getvalue(self) -> bytes:
        return b"".join(self._parts)


def webm(recording: Recording) -> bytes:
    """Opus in WebM, as Chrome and Firefox record it: live, clusters of a quarter of a second, no index."""
    options = {"live": "1", "cluster_time_limit": "250"}
    return encode(recording, "webm", "libopus", rate=48_000, options=options, streamed=True)


def ogg(recording: Recording) -> bytes:
    """Opus in Ogg, as Firefox and voice messages have it."""
    return encode(recording, "ogg", "libopus", rate=48_000, options={"page_duration": "250000"}, streamed=True)


def fragmented_mp4(recording: Recording) -> bytes:
    """AAC in fragmented MP4, as Safari records it."""
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "250000"}
    return encode(recording, "mp4", "aac", rate=48_000, options=options, streamed=True)


def m4a(recording: Recording) -> bytes:
    """AAC in ordinary MP4: its index comes after the sound, as voice memo apps write it."""
    return encode(recording, "mp4", "aac", rate=44_100)


def m4a_index_first(recording: Recording) -> bytes:
    """AAC in ordinary MP4, its index moved to the front for the web."""
    return encode(recording, "mp4", "aac", rate=44_100, options={"movflags": "frag_keyframe+empty_moov"})


def wav(recording: Recording) -> bytes:
    """16-bit WAV."""
    return encode(recording, "wav", "pcm_s16le")


def wav_with_length(recording: Recording, length: int) -> bytes:
    """A WAV whose header says ``length`` for both of its lengths, as programs write it that stream."""
    data = recording.astype("<i2").tobytes()
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16)
    return struct.pack("<4sI4s", b"RIFF", length, b"WAVE") + fmt + struct.pack("<4sI", b"data", length) + data


def wav_length_zero(recording: Recording) -> bytes:
    return wav_with_length(recording, 0)


def wav_length_unknown(recording: Recording) -> bytes:
    return wav_with_length(recording, 0xFFFFFFFF)


def flac(recording: Recording) -> bytes:
    return encode(recording, "flac", "flac")


def mp3(recording: Recording) -> bytes:
    return encode(recording, "mp3", "libmp3lame", rate=44_100)


def aac(recording: Recording) -> bytes:
    """AAC without a container (ADTS), as radio streams have it."""
    return encode(recording, "adts", "aac", rate=44_100)


TAGGED = {
    "webm": ("webm", "libopus", 48_000),
    "ogg": ("ogg", "libopus", 48_000),
    "mp4": ("mp4", "aac", 44_100),
    "flac": ("flac", "flac", RATE),
    "mp3": ("mp3", "libmp3lame", 44_100),
    "wav": ("wav", "pcm_mulaw", RATE),  # of a codec that is FFmpeg's matter
}
"""What has room for a title: container, codec and rate (Hz)."""


def tagged(recording: Recording, name: str, title: bytes) -> bytes:
    """The recording in TAGGED's container ``name`` with these bytes as its title, whatever encoding they are in."""
    container, codec, rate = TAGGED[name]
    stand_in = "T" * len(title)
    data = encode(recording, container, codec, rate=rate, title=stand_in)
    assert stand_in.encode() in data
    data = data.replace(stand_in.encode(), title)
    return _with_right_checksums(data) if name == "ogg" else data


def _with_right_checksums(ogg: bytes) -> bytes:
    """The pages of an Ogg file with the checksums of what now stands in them (RFC 3533, section 6)."""
    pages = [b"OggS" + rest[:18] + bytes(4) + rest[22:] for rest in ogg.split(b"OggS")[1:]]
    return b"".join(page[:22] + struct.pack("<I", _checksum(page)) + page[26:] for page in pages)


def _checksum(page: bytes) -> int:
    """CRC-32 with the polynomial 0x04c11db7, bits not reversed, from 0."""
    register = 0
    for byte in page:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ 0x04C11DB7 if register & 0x80000000 else register << 1) & 0xFFFFFFFF
    return register


CONTAINERS = {
    make.__name__: make
    for make in (
        webm, ogg, fragmented_mp4, m4a, m4a_index_first, wav, wav_length_zero, wav_length_unknown, flac, mp3, aac
    )
}  # fmt: skip
LOSSLESS = {"wav", "wav_length_zero", "wav_length_unknown", "flac"}


class Whole:
    """A ByteSource with everything in it that gives small pieces of random sizes."""

    def __init__(self, data: bytes, seed: int = 0, largest: int = 3000) -> None:
        self._file = io.BytesIO(data)
        self._random = random.Random(seed)
        self._largest = largest

    def read(self, size: int) -> bytes:
        return self._file.read(min(size, self._random.randint(1, self._largest)))

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class Growing:
    """A ByteSource that waits for a client: `send` more, `close` it, or `fail` it."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._offset = 0
        self._closed = False
        self._failure: Exception | None = None
        self._changed = threading.Condition()
        self.waiting = threading.Event()  # set while a reader has read all there is and waits for more

    def send(self, data: bytes) -> None:
        with self._changed:
            self.waiting.clear()
            self._data += data
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def fail(self, failure: Exception) -> None:
        with self._changed:
            self._failure = failure
            self._changed.notify_all()

    def read(self, size: int) -> bytes:
        with self._changed:
            while self._offset >= len(self._data) and not self._closed:
                if self._failure is not None:
                    raise self._failure
                self.waiting.set()
                self._changed.wait()
            data = bytes(self._data[self._offset : self._offset + size])
            self._offset += len(data)
            return data

    def seek(self, offset: int, whence: int = 0) -> int:
        with self._changed:
            self._offset = offset + (self._offset if whence == 1 else 0)
            return self._offset

    def tell(self) -> int:
        return self._offset


def wav_head(size: int, *, rate: int = RATE, bits: int = 16, tag: int = 1, riff: bytes = b"RIFF") -> bytes:
    """A WAV header that promises ``size`` bytes of sound, whatever follows."""
    return (
        riff
        + struct.pack("<I", (36 + size) & 0xFFFFFFFF)
        + b"WAVEfmt "
        + struct.pack("<IHHIIHH", 16, tag, 1, rate, rate * bits // 8, bits // 8, bits)
        + b"data"
        + struct.pack("<I", size)
    )


def remuxed(
    recording: Recording,
    container: str,
    codec: str,
    *,
    change: Callable[[float], float | None],
    rate: int = 48_000,
    options: dict[str, str] | None = None,
    video_seconds: float = 0.0,
) -> bytes:
    """The recording with other packet times: ``change`` gives the second at which a packet of that second stands.

    None: the packet is left out. ``video_seconds``: so long a black video stands beside it, from 0 s on.
    """
    target = OneWay()
    with av.open(target, "w", format=container, options=options or {}) as file:
        video = None
        if video_seconds:
            video = file.add_stream("mpeg4", rate=10, width=64, height=64, pix_fmt="yuv420p")
        track = audio_track(file, codec, rate, "mono")
        resampler = av.AudioResampler(track.codec_context.format, "mono", rate, track.codec_context.frame_size or 960)
        frame = av.AudioFrame.from_ndarray(recording[np.newaxis], format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
        packets = [
            packet
            for ready in [*resampler.resample(frame), *resampler.resample(None), None]
            for packet in track.encode(ready)
            if packet.size
        ]
        if video is not None:
            black = np.zeros((64, 64, 3), np.uint8)
            for number in range(int(10 * video_seconds)):
                picture = av.VideoFrame.from_ndarray(black, format="rgb24")
                picture.pts, picture.time_base = number, Fraction(1, 10)
                packets += video.encode(picture)
            packets += [packet for packet in video.encode(None) if packet.size]
        kept = []
        for packet in packets:
            if packet.stream is track:
                pts, dts, unit = times(packet)
                at = change(pts * unit)
                if at is None:
                    continue
                moved = round(at / unit) - pts
                packet.pts, packet.dts = pts + moved, dts + moved
            kept.append(packet)
        for packet in sorted(kept, key=decoded_at):
            file.mux(packet)
    return target.getvalue()


def id3(content: bytes) -> bytes:
    """An ID3v2.4 tag around ``content``."""
    size = len(content)
    return b"ID3\x04\0\0" + bytes((size >> 21 & 127, size >> 14 & 127, size >> 7 & 127, size & 127)) + content

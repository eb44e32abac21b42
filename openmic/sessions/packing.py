"""A client's bytes without the air in them: samples as FLAC, other sounds through zlib, what is compact as it is.

Every piece is unpacked and compared as it is packed, and can be unpacked by itself. Bytes come back as they were, but
for one thing: floats between -1 and 1 come back rounded to the 16 bits that the recording has anyway.
"""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from openmic.audio.decoder import AudioFormat
from openmic.audio.formats import SNIFF_BYTES, sniff
from openmic.audio.wav import LONGEST_HEADER, read_header

RAW, FLAC, FLOAT_FLAC, ZLIB, PLANES = range(5)  # how a piece is packed
HEAD = struct.Struct("<BI")  # method, length of the unpacked bytes
SHAPE = struct.Struct("<BBB")  # channels, and how many bytes before and after the samples are no whole sample
FRAME = struct.Struct("<I")  # length of a FLAC frame
FULL_SCALE = np.float32(32_768)
WORTH_IT = 0.95  # of the bytes: what packs worse is kept as it is
MOST_FLAC_CHANNELS = 2
WIDE_BAND_HZ = 24_000


class Packer:
    """Packs one client's bytes, message by message.

    Args:
        audio_format: what the client said about them; a container's first bytes tell the rest.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self._head: bytes | None = b"" if audio_format.encoding == "auto" else None
        self._format: AudioFormat | None = None if self._head is not None else audio_format
        self._sound_at = 0  # where samples begin in the stream
        self._position = 0  # in the stream, of the next byte
        self._squeeze = False  # a container with samples that FLAC does not fit

    def pack(self, data: bytes) -> bytes:
        """``data``, which comes next in the stream, as a piece; ``took`` says that it was kept."""
        method, packed, meant = RAW, data, data
        if self._format is not None and self._position >= self._sound_at:
            method, packed, meant = self._pack_samples(data, self._format)
        elif self._squeeze:
            method, packed = ZLIB, zlib.compress(data, 1)
        if method != RAW and (len(packed) > WORTH_IT * len(data) or _unpack(method, packed) != meant):
            method, packed = RAW, data
        return HEAD.pack(method, len(data)) + packed

    def took(self, data: bytes) -> None:
        """``data`` stands in the journal: the stream goes on behind it."""
        self._position += len(data)
        if self._head is None:
            return
        head = self._head = self._head + data
        if len(head) < SNIFF_BYTES:
            return
        if sniff(head[:SNIFF_BYTES]) != "wav":
            self._head = None
            return
        header = read_header(lambda size: head[:size])
        if header is not None:
            self._format, self._sound_at = header.audio_format, header.header_bytes
            self._head = None
        elif len(head) > LONGEST_HEADER or b"data" in head:
            self._squeeze = True
            self._head = None

    def _pack_samples(self, data: bytes, audio_format: AudioFormat) -> tuple[int, bytes, bytes]:
        """Method, packed bytes, and what they must give when they are unpacked."""
        channels = audio_format.channels or 1
        floats = audio_format.encoding == "pcm_f32le"
        unit = channels * (4 if floats else 2)
        before = min(len(data), -(self._position - self._sound_at) % unit)
        after = (len(data) - before) % unit
        samples = data[before : len(data) - after]
        head, tail = data[:before], data[len(data) - after :]
        shape = SHAPE.pack(channels, before, after) + head + tail
        if not samples:
            return RAW, data, data
        if floats:
            whole = _rounded(np.frombuffer(samples, "<f4")) if channels <= MOST_FLAC_CHANNELS else None
            if whole is not None:
                meant = head + _to_floats(whole) + tail
                return FLOAT_FLAC, shape + encode_flac(whole, channels, audio_format.sample_rate), meant
            planes = np.frombuffer(samples, np.uint8).reshape(-1, 4).T.tobytes()  # exponents beside exponents
            return PLANES, shape + zlib.compress(planes, 1), data
        if channels > MOST_FLAC_CHANNELS:
            return ZLIB, zlib.compress(data, 1), data
        return FLAC, shape + encode_flac(np.frombuffer(samples, "<i2"), channels, audio_format.sample_rate), data


def unpack(piece: bytes) -> bytes:
    """The bytes that ``Packer.pack`` made ``piece`` from."""
    method, _ = HEAD.unpack_from(piece)
    return _unpack(method, piece[HEAD.size :])


def unpacked_length(piece: bytes) -> int:
    """How many bytes ``unpack`` gives; the first ``HEAD.size`` bytes of the piece are enough."""
    length: int = HEAD.unpack_from(piece)[1]
    return length


def _unpack(method: int, packed: bytes) -> bytes:
    if method == RAW:
        return packed
    if method == ZLIB:
        return zlib.decompress(packed)
    _, before, after = SHAPE.unpack_from(packed)
    body = SHAPE.size + before + after
    if method == PLANES:
        planes = np.frombuffer(zlib.decompress(packed[body:]), np.uint8)
        samples = planes.reshape(4, -1).T.tobytes()
    else:
        whole = decode_flac(packed[body:])
        samples = _to_floats(whole) if method == FLOAT_FLAC else whole.astype("<i2").tobytes()
    return packed[SHAPE.size : SHAPE.size + before] + samples + packed[SHAPE.size + before : body]


def _rounded(floats: NDArray[np.float32]) -> NDArray[np.int16] | None:
    """The nearest 16-bit samples; None where some are no numbers or beyond full scale."""
    with np.errstate(invalid="ignore"):
        if not np.all(np.abs(floats) <= 1):  # a comparison with NaN is false
            return None
    whole: NDArray[np.int16] = np.clip(np.rint(floats * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return whole


def _to_floats(whole: NDArray[np.int16]) -> bytes:
    return (whole.astype(np.float32) / FULL_SCALE).astype("<f4").tobytes()


def encode_flac(samples: NDArray[np.int16], channels: int = 1, rate: int | None = None) -> bytes:
    """Interleaved samples, shape (n * channels,), as FLAC frames; ``rate`` (Hz) only helps to choose their length."""
    context = av.CodecContext.create("flac", "w")
    context.sample_rate = 48_000 if (rate or 0) > WIDE_BAND_HZ else 16_000
    context.layout = "stereo" if channels == 2 else "mono"
    context.format = "s16"
    context.time_base = Fraction(1, context.sample_rate)
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(samples, np.int16)[np.newaxis], format="s16", layout=context.layout.name
    )
    frame.sample_rate = context.sample_rate
    frame.pts = 0
    packets = [bytes(packet) for packet in (*context.encode(frame), *context.encode(None)) if packet.size]
    return b"".join(FRAME.pack(len(packet)) + packet for packet in packets)


def decode_flac(frames: bytes) -> NDArray[np.int16]:
    """What ``encode_flac`` was given."""
    context = av.CodecContext.create("flac", "r")
    pieces, place = [], 0
    while place < len(frames):
        (length,) = FRAME.unpack_from(frames, place)
        place += FRAME.size
        pieces += [frame.to_ndarray() for frame in context.decode(av.Packet(frames[place : place + length]))]
        place += length
    pieces += [frame.to_ndarray() for frame in context.decode(None)]
    return np.concatenate(pieces, axis=1).ravel().astype(np.int16)

"""A client's bytes without the air in them: samples as FLAC, other sounds through zlib, what is compact as it is.

Every piece is unpacked and compared as it is packed, and can be unpacked by itself. Mono 16-bit samples of up to
19.4 kHz, and what is no FLAC, come back to the byte. Of other samples what the recording and the recogniser get
anyway: floats between -1 and 1 rounded to 16 bits, the mean of all channels in every channel, and of high rates
nothing above 8 kHz (``openmic.audio.band``). There come back as many bytes as were sent, each sound at its place.
"""

from __future__ import annotations

import struct
import zlib
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from openmic.audio.band import audible
from openmic.audio.decoder import AudioFormat
from openmic.audio.formats import SNIFF_BYTES, sniff
from openmic.audio.types import SAMPLE_RATE
from openmic.audio.wav import LONGEST_HEADER, read_header

RAW, FLAC, FLOAT_FLAC, ZLIB, PLANES = range(5)  # how a piece is packed
HEAD = struct.Struct("<BI")  # method, length of the unpacked bytes
SHAPE = struct.Struct("<BBB")  # channels, and how many bytes before and after the samples are no whole sample
FRAME = struct.Struct("<I")  # length of a FLAC frame
FULL_SCALE = np.float32(32_768)
WORTH_IT = 0.95  # of the bytes: what packs worse is kept as it is
WIDE_BAND_HZ = 24_000
WIDE_BAND_LEVEL = "8"  # a longer prediction (12 samples, not 8): where little lies above 8 kHz it predicts more


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
        sound = np.frombuffer(samples, "<f4" if floats else "<i2").reshape(-1, channels)
        if floats and not _in_range(sound):
            planes = np.frombuffer(samples, np.uint8).reshape(-1, 4).T.tobytes()  # exponents beside exponents
            return PLANES, shape + zlib.compress(planes, 1), data
        rate = audio_format.sample_rate or SAMPLE_RATE
        heard = audible(sound, rate) * (FULL_SCALE if floats else 1)
        whole = np.clip(np.rint(heard), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        meant = head + _repeated(whole, channels, floats) + tail
        return FLOAT_FLAC if floats else FLAC, shape + encode_flac(whole, rate), meant


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
    channels, before, after = SHAPE.unpack_from(packed)
    body = SHAPE.size + before + after
    if method == PLANES:
        planes = np.frombuffer(zlib.decompress(packed[body:]), np.uint8)
        samples = planes.reshape(4, -1).T.tobytes()
    else:
        samples = _repeated(decode_flac(packed[body:]), channels, method == FLOAT_FLAC)
    return packed[SHAPE.size : SHAPE.size + before] + samples + packed[SHAPE.size + before : body]


def _in_range(floats: NDArray[np.float32]) -> bool:
    with np.errstate(invalid="ignore"):
        return bool(np.all(np.abs(floats) <= 1))  # a comparison with NaN is false


def _repeated(mono: NDArray[np.int16], channels: int, floats: bool) -> bytes:
    """The same samples in every channel, as bytes of the client's kind."""
    whole = np.repeat(mono, channels)
    return (whole.astype(np.float32) / FULL_SCALE).astype("<f4").tobytes() if floats else whole.astype("<i2").tobytes()


def encode_flac(samples: NDArray[np.int16], rate: int = SAMPLE_RATE) -> bytes:
    """Samples, shape (n,), as FLAC frames; ``rate`` (Hz) only helps to choose how they are encoded."""
    context = av.CodecContext.create("flac", "w")
    wide = rate > WIDE_BAND_HZ
    context.sample_rate = 48_000 if wide else 16_000
    context.options = {"compression_level": WIDE_BAND_LEVEL} if wide else {}
    context.layout = "mono"
    context.format = "s16"
    context.time_base = Fraction(1, context.sample_rate)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[np.newaxis], format="s16", layout="mono")
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

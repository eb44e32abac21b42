"""Mono 16-bit samples as FLAC frames, each behind its length."""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from openmic.audio.types import SAMPLE_RATE

FRAME = struct.Struct("<I")  # length of a FLAC frame


def encode_flac(samples: NDArray[np.int16]) -> bytes:
    """Samples at SAMPLE_RATE, shape (n,), as FLAC frames."""
    context = av.CodecContext.create("flac", "w")
    context.sample_rate = SAMPLE_RATE
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

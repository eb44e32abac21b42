"""What an MP4's header claims, before FFmpeg believes it (boxes: ISO/IEC 14496-12).

Its tables can say "so many million samples of one byte each" in a few bytes, and QuickTime's compressed header can hold
anything: FFmpeg makes an index of all of it first. A header that claims more than a recording has is refused here;
what fragments claim later is held by the decoding process's limits alone.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from openmic.audio.problems import PROBLEMS
from openmic.audio.types import ByteSource

LONGEST_HEADER = 16_777_216  # bytes of a movie header; an hour of sound and film has some 3 million
MOST_SAMPLES = 2_000_000  # of one track without a table of their sizes; an hour of sound has some 700,000
AROUND = (b"trak", b"mdia", b"minf", b"stbl", b"mvex")  # boxes that hold boxes
HEAD = struct.Struct(">I4s")


def check_header(source: ByteSource) -> None:
    """Read up to the end of the movie header, wherever it is, and leave the source at some other place.

    Raises:
        OpenmicError: ``audio_too_costly``.
    """
    offset = 0
    while True:
        source.seek(offset)
        head = _read(source, 16)
        if len(head) < 8:
            return
        length, kind = HEAD.unpack(head[:8])
        start = 8
        if length == 1 and len(head) == 16:
            start, length = 16, struct.unpack(">Q", head[8:])[0]
        if kind == b"moov":
            if not start <= length <= LONGEST_HEADER:
                raise PROBLEMS.error("audio_too_costly")
            source.seek(offset + start)
            _check_boxes(_read(source, length - start))
            return
        if length < start or offset + length >= 2**63:  # to the end of the file, or nonsense
            return
        offset += length


def _check_boxes(content: bytes) -> None:
    for kind, inside in _boxes(content):
        if kind == b"cmov":
            raise PROBLEMS.error("audio_too_costly")
        if kind == b"stbl":
            _check_table(dict(_boxes(inside)))
        elif kind in AROUND:
            _check_boxes(inside)


def _check_table(boxes: dict[bytes, bytes]) -> None:
    """Bound the samples of a track, but for those that FFmpeg takes by the chunk: PCM, one sample for each moment."""
    sizes, times = boxes.get(b"stsz", b""), boxes.get(b"stts", b"")
    if len(sizes) < 12 or struct.unpack(">I", sizes[4:8])[0] == 0:
        return
    one_by_one = len(times) >= 16 and struct.unpack(">I4xI", times[4:16]) == (1, 1)
    if struct.unpack(">I", sizes[8:12])[0] > MOST_SAMPLES and not one_by_one:
        raise PROBLEMS.error("audio_too_costly")


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    offset = 0
    while offset + 8 <= len(content):
        length, kind = HEAD.unpack_from(content, offset)
        if length < 8:
            return
        yield kind, content[offset + 8 : offset + length]
        offset += length


def _read(source: ByteSource, size: int) -> bytes:
    """Exactly ``size`` bytes, fewer only at the end."""
    content = bytearray()
    while len(content) < size and (piece := source.read(min(65_536, size - len(content)))):
        content += piece
    return bytes(content)

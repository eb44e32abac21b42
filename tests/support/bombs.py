"""Small files that make a reader of media take much memory: nothing in them is damaged, they only claim a lot.

Each is what anybody with a link could send. The numbers in ``BOMBS`` ask for a gigabyte or more where nothing limits
the reader.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable

RATE = 16_000
MEGABYTE = 1_000_000


# --- MP4 (ISO/IEC 14496-12)


def box(kind: bytes, *content: bytes) -> bytes:
    """A box: its length, its kind, what is in it."""
    inside = b"".join(content)
    return struct.pack(">I4s", 8 + len(inside), kind) + inside


def full_box(kind: bytes, *content: bytes, flags: int = 0) -> bytes:
    """A box with a version, 0, and flags."""
    return box(kind, struct.pack(">I", flags), *content)


MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
FILE_TYPE = box(b"ftyp", b"isom", struct.pack(">I", 0x200), b"isomiso2mp41")


def sample_entry(codec: bytes, channels: int, bits: int, *more: bytes) -> bytes:
    """What a track says about its codec."""
    head = bytes(6) + struct.pack(">H8xHHHHI", 1, channels, bits, 0, 0, RATE << 16)
    return box(codec, head, *more)


def mp4(entry: bytes, samples: int, sample_bytes: int, duration: int, media: bytes, fragments: bytes = b"") -> bytes:
    """A file of one track, of ``samples`` in one chunk of ``media``, each of so many bytes and so long."""

    def movie(offset: int) -> bytes:
        table = box(
            b"stbl",
            full_box(b"stsd", struct.pack(">I", 1), entry),
            full_box(b"stts", struct.pack(">3I", 1, samples, duration) if samples else bytes(4)),
            full_box(b"stsc", struct.pack(">4I", 1, 1, samples, 1) if samples else bytes(4)),
            full_box(b"stsz", struct.pack(">2I", sample_bytes, samples)),
            full_box(b"stco", struct.pack(">2I", 1, offset) if samples else bytes(4)),
        )
        location = box(b"dinf", full_box(b"dref", struct.pack(">I", 1), full_box(b"url ", flags=1)))
        track = box(
            b"trak",
            full_box(b"tkhd", struct.pack(">5I8x4H", 0, 0, 1, 0, 0, 0, 0, 0x100, 0), MATRIX, bytes(8), flags=7),
            box(
                b"mdia",
                full_box(b"mdhd", struct.pack(">4I2H", 0, 0, RATE, 0, 0x55C4, 0)),
                full_box(b"hdlr", bytes(4), b"soun", bytes(12), b"s\0"),
                box(b"minf", full_box(b"smhd", bytes(4)), location, table),
            ),
        )
        head = full_box(
            b"mvhd", struct.pack(">4IIH10x", 0, 0, RATE, 0, 0x10000, 0x100), MATRIX, bytes(24), struct.pack(">I", 2)
        )
        extends = box(b"mvex", full_box(b"trex", struct.pack(">5I", 1, 1, duration, sample_bytes, 0)))
        return box(b"moov", head, track, *([extends] if fragments else []))

    offset = len(FILE_TYPE) + len(movie(0)) + 8
    return FILE_TYPE + movie(offset) + (fragments or box(b"mdat", media))


def index_bomb(samples: int) -> bytes:
    """A table that says "all samples have one byte", and that there are so many; an index has 24 bytes for each."""
    return mp4(sample_entry(b"ulaw", 1, 16), samples, 1, 2, bytes(64))


def fragment_bomb(samples: int) -> bytes:
    """The same in a fragment, as a recorder writes them: a run of samples that all have the usual size."""
    fragment = box(
        b"moof",
        full_box(b"mfhd", struct.pack(">I", 1)),
        box(b"traf", full_box(b"tfhd", struct.pack(">I", 1)), full_box(b"trun", struct.pack(">I", samples))),
    )
    return mp4(sample_entry(b"ulaw", 1, 16), 0, 1, 2, b"", fragment + box(b"mdat", bytes(64)))


def compressed_header_bomb(size: int) -> bytes:
    """QuickTime's compressed movie header, which unpacks to ``size`` bytes of nothing."""
    inside = box(b"free", bytes(size))
    packed = box(b"cmvd", struct.pack(">I", len(inside)), zlib.compress(inside, 9))
    return FILE_TYPE + box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), packed))


def long_frame_bomb(samples: int) -> bytes:
    """One packet of Apple Lossless with so many samples of silence, in two channels; the format allows any number."""
    fields: list[tuple[int, int]] = [(1, 3), (0, 4), (0, 12), (0, 4), (0, 8), (0, 8)]  # value, bits
    fields += [(0, 4), (1, 4), (0, 3), (0, 5)] * 2
    fields += [(0, 1), (0x1FF, 9), (0xFFFF, 16)] * (-(-samples // 65_536)) * 2  # runs of zeros
    packet = packed([*fields, (7, 3)]) + bytes(8)
    cookie = struct.pack(">I6BH3I", samples, 0, 16, 0, 0, 14, 2, 255, 0, 0, RATE)
    entry = sample_entry(b"alac", 2, 16, full_box(b"alac", cookie))
    return mp4(entry, 1, len(packet), samples, packet)


def packed(fields: Iterable[tuple[int, int]]) -> bytes:
    """Values of so many bits each, one behind the other."""
    bits = "".join(format(value, f"0{count}b") for value, count in fields)
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


# --- MP3, WebM


def tag_bomb(size: int) -> bytes:
    """An ID3 tag with a compressed title of ``size`` letters, before a frame of MP3."""
    body = struct.pack(">I", size + 1) + zlib.compress(b"\0" + b"a" * size, 9)
    frame = b"TIT2" + syncsafe(len(body)) + b"\x00\x09" + body
    return b"ID3\x04\x00\x00" + syncsafe(len(frame)) + frame + b"\xff\xfb\x90\x64" + bytes(413)


def syncsafe(number: int) -> bytes:
    """Four bytes of seven bits, as ID3 writes lengths."""
    return bytes(number >> shift & 127 for shift in (21, 14, 7, 0))


def element(name: str, *content: bytes) -> bytes:
    """An EBML element with an eight-byte length."""
    inside = b"".join(content)
    return bytes.fromhex(name) + b"\x01" + len(inside).to_bytes(7, "big") + inside


def compressed_block_bomb(size: int) -> bytes:
    """WebM whose blocks are compressed: each unpacks to ``size`` bytes of PCM."""
    block = b"\x81\x00\x00\x80" + zlib.compress(bytes(size), 9)
    audio = element("e1", element("b5", struct.pack(">d", RATE)), element("9f", b"\x01"), element("6264", b"\x10"))
    coding = element("6d80", element("6240", element("5033", b"\x00"), element("5034", element("4254", b"\x00"))))
    track = element(
        "ae",
        element("d7", b"\x01"),
        element("73c5", b"\x01"),
        element("83", b"\x02"),
        element("86", b"A_PCM/INT/LIT"),
        coding,
        audio,
    )
    head = element("1a45dfa3", element("4282", b"matroska"), element("4287", b"\x04"), element("4285", b"\x02"))
    cluster = element("1f43b675", element("e7", b"\x00"), *[element("a3", block)] * 4)
    return head + element("18538067", element("1549a966"), element("1654ae6b", track), cluster)


BOMBS: dict[str, Callable[[], bytes]] = {
    "MP4, a table of 50 million samples": lambda: index_bomb(50_000_000),
    "MP4, a fragment of 50 million samples": lambda: fragment_bomb(50_000_000),
    "MP4, a compressed header of 1 GB": lambda: compressed_header_bomb(1000 * MEGABYTE),
    "MP4, ALAC in one frame of 16.7 million samples": lambda: long_frame_bomb(4096 * 4096 - 1),
    "MP3, a compressed tag of 500 MB": lambda: tag_bomb(500 * MEGABYTE),
    "WebM, compressed blocks of 60 MB": lambda: compressed_block_bomb(60 * MEGABYTE),
}
"""By name, what makes each."""

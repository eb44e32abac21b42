"""What a client says about its bytes, and what the bytes say themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from openmic.audio.problems import PROBLEMS

Encoding = Literal["auto", "pcm_s16le", "pcm_f32le"]

LOWEST_RATE = 4_000  # Hz; below telephone speech
HIGHEST_RATE = 192_000  # Hz; studio converters
MOST_CHANNELS = 16

SNIFF_BYTES = 12  # enough to tell every container in CONTAINERS from the others
TAG_BYTES = 32  # enough to tell how long a tag is that stands in front of one
SYNC_BYTES = 4096  # in which two frames of any MP3 or ADTS stream begin that was cut anywhere

CONTAINERS = {
    "matroska": "WebM",
    "ogg": "Ogg",
    "mov": "MP4",
    "wav": "WAV",
    "flac": "FLAC",
    "mp3": "MP3",
    "aac": "AAC",
}
"""FFmpeg's demuxers that may be used, and what people call them.

No other is ever opened, whatever the bytes look like: playlists, for one, make FFmpeg read other files and addresses.
"""


CODECS = frozenset(
    [
        "aac",
        "ac3",
        "adpcm_ima_qt",
        "adpcm_ima_wav",
        "adpcm_ms",
        "alac",
        "amr_nb",
        "amr_wb",
        "eac3",
        "flac",
        "gsm",
        "gsm_ms",
        "mp2",
        "mp3",
        "opus",
        "vorbis",
    ]
)
"""FFmpeg's names of the codecs that may be used beside PCM of any kind (``pcm_...``).

It has two hundred decoders for sound, of games and players of long ago; any of them can be named in a WebM or a WAV.
"""

MP4_BEGINNINGS = (b"ftyp", b"styp", b"moov", b"skip", b"free", b"wide", b"pnot", b"mdat")
"""Boxes that an MP4 or QuickTime file may begin with (ISO/IEC 14496-12, 4.3; QuickTime's older ones)."""

REFUSED = (
    ("AMR", 0, b"#!AMR"),
    ("AIFF", 0, b"FORM"),
    ("CAF", 0, b"caff"),
    ("AU", 0, b".snd"),
    ("WMA (ASF)", 0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11"),
    ("AVI", 8, b"AVI "),
    ("Flash video", 0, b"FLV\x01"),
    ("MPEG program stream", 0, b"\x00\x00\x01\xba"),
    ("MPEG transport stream", 0, b"\x47\x40"),
    ("AC-3", 0, b"\x0b\x77"),
    ("WavPack", 0, b"wvpk"),
    ("TTA", 0, b"TTA1"),
    ("Wave64", 0, b"riff\x2e\x91\xcf\x11"),
    ("VOC", 0, b"Creative Voi"),
    ("SILK", 0, b"#!SILK"),
    ("SILK", 1, b"#!SILK"),
    ("LATM", 0, b"\x56\xe0"),
    ("a ZIP archive", 0, b"PK\x03\x04"),
    ("gzip", 0, b"\x1f\x8b"),
    ("a PDF", 0, b"%PDF"),
    ("a playlist", 0, b"#EXTM3U"),
    ("a data: address", 0, b"data:"),
    ("HTML", 0, b"<"),
)
"""Name, and where which bytes stand."""

TEXT_BYTES = frozenset(b"\t\n\r" + bytes(range(0x20, 0x7F)))

MPEG_RATES = (44_100, 48_000, 32_000)
MPEG_KBITS = {
    (True, False): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG-1 Layer III
    (True, True): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),  # MPEG-1 Layer II
    (False, False): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG-2 Layers II and III
    (False, True): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


@dataclass(frozen=True, slots=True)
class AudioFormat:
    """How a client's bytes are to be read.

    Attributes:
        encoding: ``auto`` for a container, which describes itself; else raw interleaved samples.
        sample_rate: of raw samples, in Hz, LOWEST_RATE..HIGHEST_RATE; needed for them, unused for a container.
        channels: of raw samples, 1..MOST_CHANNELS; None is one.

    Raises:
        OpenmicError: ``audio_encoding_unknown``, ``audio_rate_missing``, ``audio_rate_invalid``,
            ``audio_channels_invalid``.
    """

    encoding: Encoding = "auto"
    sample_rate: int | None = None
    channels: int | None = None

    def __post_init__(self) -> None:
        if self.encoding not in get_args(Encoding):
            raise PROBLEMS.error("audio_encoding_unknown", encoding=self.encoding)
        if self.sample_rate is None:
            if self.encoding != "auto":
                raise PROBLEMS.error("audio_rate_missing", encoding=self.encoding)
        elif not _whole(self.sample_rate, LOWEST_RATE, HIGHEST_RATE):
            raise PROBLEMS.error("audio_rate_invalid", rate=self.sample_rate, lowest=LOWEST_RATE, highest=HIGHEST_RATE)
        if self.channels is not None and not _whole(self.channels, 1, MOST_CHANNELS):
            raise PROBLEMS.error("audio_channels_invalid", channels=self.channels, most=MOST_CHANNELS)


def _whole(number: object, lowest: int, highest: int) -> bool:
    """Whether a client's ``number`` is an integer in the range; True and 16000.0 are none."""
    return type(number) is int and lowest <= number <= highest


def sniff(head: bytes) -> str | None:
    """Name the demuxer (a key of CONTAINERS) for a stream that begins with ``head``, SNIFF_BYTES of it.

    Returns:
        None where ``head`` is not the beginning of any container in CONTAINERS.
    """
    if head.startswith(b"\x1aE\xdf\xa3"):  # EBML
        return "matroska"
    if head.startswith(b"OggS"):
        return "ogg"
    if head[4:8] in MP4_BEGINNINGS and head[:1] == b"\0":
        return "mov"
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head.startswith(b"fLaC"):
        return "flac"
    mpeg = mpeg_frame(head)
    return mpeg[0] if mpeg else None


def refused_name(head: bytes) -> str | None:
    """What people call a format that is not decoded here, where ``head`` (SNIFF_BYTES) shows which it is."""
    for name, offset, mark in REFUSED:
        if head[offset : offset + len(mark)] == mark:
            return name
    if head.strip()[:1] in (b"{", b"["):
        return "JSON"
    return "text" if head and all(byte in TEXT_BYTES for byte in head) else None


def tag_bytes(head: bytes) -> int:
    """How long the tag is that ``head`` (TAG_BYTES) begins with; 0: it is none (ID3v2.4, 3.1; APEv2)."""
    if head.startswith(b"ID3") and len(head) >= 10 and max(head[6:10]) < 0x80:
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        return 10 + size + (10 if head[5] & 0x10 else 0)
    if head.startswith(b"APETAGEX") and len(head) >= 24:
        size = int.from_bytes(head[12:16], "little")
        return size + (32 if head[23] & 0x80 else 0)
    return 0


def mpeg_sync(data: bytes) -> int | None:
    """Where in ``data`` the first MP3 or ADTS frame begins whose next one follows it; None: nowhere."""
    for offset in range(len(data) - 6):
        frame = mpeg_frame(data[offset : offset + 6])
        if frame is not None and frame[1] > 0:
            behind = mpeg_frame(data[offset + frame[1] : offset + frame[1] + 6])
            if behind is not None and behind[0] == frame[0]:
                return offset
    return None


def mpeg_frame(head: bytes) -> tuple[str, int] | None:
    """The demuxer and the length in bytes of an MP3 or ADTS AAC frame; 0: unknown length.

    These have no header but their frames' (ISO/IEC 11172-3, 2.4.2.3, and 13818-7, 6.2.1).
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if head[1] & 0xF6 == 0xF0:  # twelve sync bits, layer 0
        rate_index, channels_high = head[2] >> 2 & 15, head[2] & 1
        if rate_index >= 13 or channels_high:
            return None
        return "aac", ((head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5) if len(head) >= 6 else 0
    bitrate_index, rate_index = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer not in (1, 2) or bitrate_index in (0, 15) or rate_index == 3:
        return None  # reserved values, Layer I, free format
    kbits, rate = MPEG_KBITS[version == 3, layer == 2][bitrate_index - 1], MPEG_RATES[rate_index]
    halves = {3: 0, 2: 1, 0: 2}[version]
    samples = 576 if layer == 1 and version != 3 else 1152
    return "mp3", samples // 8 * kbits * 1000 // (rate >> halves) + (head[2] >> 1 & 1)

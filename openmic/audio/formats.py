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


def tag_bytes(head: bytes) -> int:
    """How long the ID3v2 tag is that a stream begins with (id3.org, 3.1); 0: there is none.

    Args:
        head: SNIFF_BYTES of the stream.
    """
    if not head.startswith(b"ID3") or len(head) < 10 or max(head[6:10]) > 127:
        return 0
    length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
    return 10 + length + (10 if head[5] & 0x10 else 0)  # and its footer


def sniff(head: bytes) -> str | None:
    """Name the demuxer (a key of CONTAINERS) for a stream that begins with ``head``, SNIFF_BYTES of it.

    Returns:
        None where ``head`` is not the beginning of any container in CONTAINERS.
    """
    if head.startswith(b"\x1aE\xdf\xa3"):  # EBML
        return "matroska"
    if head.startswith(b"OggS"):
        return "ogg"
    if head[4:8] == b"ftyp":
        return "mov"
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head.startswith(b"fLaC"):
        return "flac"
    if head.startswith(b"ID3"):
        return "mp3"
    return _sniff_mpeg_frame(head)


def _sniff_mpeg_frame(head: bytes) -> str | None:
    """MP3 or ADTS AAC, which have no header but their frames' (ISO/IEC 11172-3, 2.4.2.3, and 13818-7, 6.2.1)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    if head[1] & 0xF6 == 0xF0:  # twelve sync bits, layer 0
        rate_index, channels_high = head[2] >> 2 & 15, head[2] & 1
        return "aac" if rate_index < 13 and not channels_high else None
    bitrate_index, rate_index = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer not in (1, 2) or bitrate_index in (0, 15) or rate_index == 3:
        return None  # reserved values, Layer I, free format
    return "mp3"

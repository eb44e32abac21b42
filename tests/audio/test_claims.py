"""What a file claims before its sound: tables, compressed headers, codecs of long ago, tags."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from openmic.audio import mp4
from openmic.audio.decoder import AudioFormat, decode
from openmic.audio.formats import tag_bytes
from openmic.audio.mp4 import check_header
from openmic.errors import OpenmicError
from tests.support import bombs, media

AUTO = AudioFormat()


@pytest.fixture(scope="module")
def recording(sample_audio: Path) -> media.Recording:
    return media.read_wav(sample_audio / "quickstart.wav")[: 2 * media.RATE]


def decoded(data: bytes) -> np.ndarray:
    return np.concatenate(list(decode(media.Whole(data, 1), AUTO)))


# --- MP4


@pytest.mark.parametrize(
    "data",
    [
        bombs.index_bomb(mp4.MOST_SAMPLES + 1),
        bombs.FILE_TYPE + bombs.box(b"mdat", bytes(99)) + bombs.index_bomb(50_000_000)[len(bombs.FILE_TYPE) :],
        bombs.compressed_header_bomb(1000),
        bombs.FILE_TYPE + struct.pack(">I4s", mp4.LONGEST_HEADER + 1, b"moov"),
    ],
    ids=["table", "table behind the sound", "compressed header", "long header"],
)
def test_a_header_that_claims_more_than_a_recording_has_is_refused_unread(data: bytes) -> None:
    with pytest.raises(OpenmicError) as refused:
        check_header(media.Whole(data))
    assert refused.value.code == "audio_too_costly"


def test_an_hour_of_sound_passes_and_so_do_three_million_samples_of_pcm() -> None:
    check_header(media.Whole(bombs.index_bomb(700_000)))
    check_header(media.Whole(bombs.mp4(bombs.sample_entry(b"sowt", 1, 16), 3_000_000, 2, 1, bytes(64))))


@pytest.mark.parametrize("length", [0, 1, 7, 8, 16, 2**32 - 1])
def test_boxes_of_any_length_end_the_look(length: int) -> None:
    check_header(media.Whole(bombs.FILE_TYPE + struct.pack(">I4s", length, b"free") + bytes(64)))


def test_a_real_file_passes_with_its_header_in_front_or_behind(recording: media.Recording) -> None:
    for name in ("m4a", "m4a_index_first", "fragmented_mp4"):
        check_header(media.Whole(media.CONTAINERS[name](recording), 1))


# --- codecs


@pytest.mark.parametrize("codec", ["adpcm_swf", "adpcm_yamaha"])
def test_a_codec_of_long_ago_is_not_opened(recording: media.Recording, codec: str) -> None:
    data = media.encode(recording, "wav", codec, rate=22_050)
    with pytest.raises(OpenmicError) as refused:
        decoded(data)
    assert refused.value.code == "audio_not_decodable"
    assert codec in refused.value.what


@pytest.mark.parametrize("codec", ["adpcm_ms", "pcm_mulaw", "pcm_alaw", "pcm_s24le", "ac3", "mp2"])
def test_codecs_that_recorders_and_films_use_are(recording: media.Recording, codec: str) -> None:
    container = "matroska" if codec in ("ac3", "mp2") else "wav"
    data = media.encode(recording, container, codec, rate=16_000 if container == "wav" else 48_000)
    assert len(decoded(data)) == pytest.approx(2 * media.RATE, rel=0.1)


# --- tags


def tag(size: int, flags: int = 0) -> bytes:
    return b"ID3\x04\x00" + bytes([flags]) + bombs.syncsafe(size) + bytes(size) + (bytes(10) if flags else b"")


@pytest.mark.parametrize("before", [tag(5000), tag(300, 0x10), tag(10) + tag(20)], ids=["long", "footer", "two"])
@pytest.mark.parametrize("container", ["mp3", "flac", "aac"])
def test_a_tag_is_skipped_by_its_length(recording: media.Recording, container: str, before: bytes) -> None:
    data = media.CONTAINERS[container](recording)
    data = data[tag_bytes(data[:12]) :]
    np.testing.assert_array_equal(decoded(before + data), decoded(data))


def test_what_is_no_tag_has_no_length() -> None:
    assert [tag_bytes(head) for head in (b"", b"ID3", b"fLaC" + bytes(8), b"ID3\x04\x00\x00\xff\xff\xff\xff")] == [
        0
    ] * 4


# --- headers


class Counting(media.Whole):
    """Gives a byte at a time, and counts them."""

    reads = 0

    def read(self, size: int) -> bytes:
        self.reads += 1
        return super().read(min(size, 1))


def test_each_byte_of_a_long_wav_header_is_read_once_though_they_come_one_by_one(recording: media.Recording) -> None:
    wav = media.CONTAINERS["wav"](recording)
    padding = b"junk" + struct.pack("<I", 30_000) + bytes(30_000)
    source = Counting(wav[:12] + padding + wav[12:2000])
    pieces = decode(source, AUTO)
    next(pieces)
    assert source.reads <= len(padding) + 4000


@pytest.mark.parametrize("rate", [3_999, 192_001, 2**31])
def test_rates_that_nobody_records_at_are_refused(rate: int) -> None:
    with pytest.raises(OpenmicError) as refused:
        AudioFormat("pcm_s16le", rate)
    assert refused.value.code == "audio_rate_invalid"

"""What comes after a first container: each part is heard, or the client is told from when on nothing was understood."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openmic.audio import AudioFormat, decode
from openmic.audio.chain import ChainReader
from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.errors import OpenmicError
from tests.support import media

FIVE = 5 * SAMPLE_RATE
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "1000000"}


@pytest.fixture(scope="module")
def recording(sample_audio: Path) -> media.Recording:
    return media.read_wav(sample_audio / "quickstart.wav")


def floats(recording: media.Recording) -> Samples:
    return recording.astype(np.float32) / np.float32(32768)


def decoded(data: bytes) -> tuple[Samples, list[str]]:
    """What was heard, and the codes of what the client was told."""
    warnings: list[OpenmicError] = []
    heard = np.concatenate(list(decode(media.Whole(data), AudioFormat(), warnings.append)))
    return heard, [warning.code for warning in warnings]


def likeness(heard: Samples, said: Samples) -> float:
    size = 1 << (len(heard) + len(said)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)))
    return float(np.max(product) / np.linalg.norm(heard) / np.linalg.norm(said))


# --- WAV


@pytest.mark.parametrize(
    "promised", [2 * SAMPLE_RATE, 2 * SAMPLE_RATE + 1, 21 * SAMPLE_RATE, 0, 0xFFFFFFFF, 0x7FFFF000]
)
@pytest.mark.parametrize("riff", [b"RIFF", b"RF64"])
def test_a_wav_that_promises_another_length(promised: int, riff: bytes, recording: media.Recording) -> None:
    heard, told = decoded(media.wav_head(promised, riff=riff) + recording.tobytes())
    np.testing.assert_array_equal(heard, floats(recording))
    assert told == []


def test_other_kinds_of_wav_that_promise_too_little(recording: media.Recording) -> None:
    sound = floats(recording).astype("<f4").tobytes()
    heard, _ = decoded(media.wav_head(4 * SAMPLE_RATE, bits=32, tag=3) + sound)
    np.testing.assert_array_equal(heard, floats(recording))


def test_chunks_behind_a_wavs_sound_are_no_sound(recording: media.Recording) -> None:
    for behind in (b"LIST\x07\0\0\0INFOabc\0", b"LIST\x07\0\0\0INFOabc", b"id3 \x08\0\0\0ID3\x04\0\0\0\0"):
        heard, told = decoded(media.wav_head(len(recording) * 2) + recording.tobytes() + behind)
        np.testing.assert_array_equal(heard, floats(recording))
        assert told == []


@pytest.mark.parametrize("slices", [3, 61])
@pytest.mark.parametrize("promise", ["right", "none", "all"])
def test_a_header_in_every_slice(slices: int, promise: str, recording: media.Recording) -> None:
    parts = np.array_split(recording, slices)
    sizes = {"right": lambda n: 2 * n, "none": lambda _: 0, "all": lambda _: 2 * len(recording)}
    data = b"".join(media.wav_head(sizes[promise](len(part))) + part.tobytes() for part in parts)
    heard, told = decoded(data)
    np.testing.assert_array_equal(heard, floats(recording))
    assert told == []


def test_each_part_of_a_wav_has_its_own_rate(recording: media.Recording) -> None:
    second = media.encode(recording[FIVE : 2 * FIVE], "wav", "pcm_s16le", rate=44_100)
    heard, told = decoded(media.wav(recording[:FIVE]) + second)
    assert len(heard) == pytest.approx(2 * FIVE, abs=50)
    assert likeness(heard[FIVE:], floats(recording[FIVE : 2 * FIVE])) > 0.95
    assert told == []


# --- any containers


def stereo_ogg(part: media.Recording) -> bytes:
    return media.encode(part, "ogg", "libopus", rate=48_000, streamed=True, layout="stereo")


def fragmented_44100(part: media.Recording) -> bytes:
    return media.encode(part, "mp4", "aac", rate=44_100, options=FRAGMENTED, streamed=True)


PAIRS: list[tuple[Callable[[media.Recording], bytes], Callable[[media.Recording], bytes]]] = [
    *((make, make) for make in media.CONTAINERS.values()),
    (media.webm, media.ogg),
    (media.webm, media.fragmented_mp4),
    (media.wav, media.ogg),
    (media.mp3, media.wav),
    (media.ogg, stereo_ogg),
    (media.fragmented_mp4, fragmented_44100),
    (media.m4a, media.webm),
]


@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_two_containers_are_one_stream(
    first: Callable[[media.Recording], bytes], second: Callable[[media.Recording], bytes], recording: media.Recording
) -> None:
    heard, told = decoded(first(recording[:FIVE]) + second(recording[FIVE : 2 * FIVE]))
    assert len(heard) == pytest.approx(2 * FIVE, abs=0.15 * SAMPLE_RATE)
    assert likeness(heard[FIVE - 1600 :], floats(recording[FIVE : 2 * FIVE])) > 0.9
    assert told == []


@pytest.mark.parametrize("make", [media.webm, media.ogg, media.fragmented_mp4])
def test_a_recorder_that_was_killed_and_began_anew(
    make: Callable[[media.Recording], bytes], recording: media.Recording
) -> None:
    killed = make(recording[:FIVE])
    heard, _ = decoded(killed[: len(killed) * 7 // 10] + make(recording[FIVE : 2 * FIVE]))
    assert likeness(heard[-FIVE - 3200 :], floats(recording[FIVE : 2 * FIVE])) > 0.85


@pytest.mark.parametrize("make", [media.flac, media.mp3, media.aac, media.ogg])
def test_what_cannot_be_understood_is_told_with_its_second(
    make: Callable[[media.Recording], bytes], recording: media.Recording
) -> None:
    warnings: list[OpenmicError] = []
    data = make(recording[:FIVE]) + bytes(range(256)) * 200
    pieces = list(decode(media.Whole(data), AudioFormat(), warnings.append))
    assert sum(map(len, pieces)) == pytest.approx(FIVE, abs=SAMPLE_RATE)
    assert [warning.code for warning in warnings] == ["audio_not_understood"]
    assert re.search(r"second [45]\.\d", warnings[0].what)


@pytest.mark.parametrize("change", ["left out", "sent twice"])
def test_a_fragmented_mp4_that_cannot_go_on_says_so(change: str, recording: media.Recording) -> None:
    """FFmpeg passes over everything behind a damaged fragment, and says nothing."""
    data = media.fragmented_mp4(recording)
    middle = len(data) // 2
    heard, told = decoded(data[:middle] + data[middle + (2500 if change == "left out" else -2500) :])

    assert told == (["audio_not_understood"] if len(heard) / SAMPLE_RATE < 14 else [])
    assert decoded(data)[1] == []


# --- what stands in front


@pytest.mark.parametrize("make", [media.flac, media.ogg, media.mp3, media.aac])
@pytest.mark.parametrize("tag", ["one", "two", "picture", "ape", "zeros"])
def test_tags_in_front_are_passed_over(
    make: Callable[[media.Recording], bytes], tag: str, recording: media.Recording
) -> None:
    title = b"TIT2" + struct.pack(">I", 5) + b"\0\0\3abcd"
    fronts = {
        "one": media.id3(title),
        "two": media.id3(title) * 2,
        "picture": media.id3(b"APIC" + b"\0\x10\0\0\0\0" + b"\0image/jpeg\0\3\0" + bytes(2_000_000)),
        "ape": b"APETAGEX" + struct.pack("<IIII", 2000, 32 + 8, 1, 0xA0000000) + bytes(8) + bytes(40),
        "zeros": bytes(512),
    }
    plain = make(recording)
    np.testing.assert_array_equal(decoded(fronts[tag] + plain)[0], decoded(plain)[0])


@pytest.mark.parametrize("make", [media.mp3, media.aac])
def test_a_stream_that_begins_in_the_middle_of_a_frame(
    make: Callable[[media.Recording], bytes], recording: media.Recording
) -> None:
    heard, _ = decoded(make(recording)[777:])
    assert len(heard) / SAMPLE_RATE == pytest.approx(15.2, abs=0.3)


@pytest.mark.parametrize("box", [b"skip", b"free", b"styp", b"pnot"])
def test_mp4_with_another_box_in_front(box: bytes, recording: media.Recording) -> None:
    data = bytearray(media.m4a(recording))
    data[4:8] = box
    assert len(decoded(bytes(data))[0]) / SAMPLE_RATE == pytest.approx(15.28, abs=0.05)


def test_fragmented_mp4_without_its_brand(recording: media.Recording) -> None:
    data = media.fragmented_mp4(recording)
    size = int.from_bytes(data[:4], "big")
    assert data[4:8] == b"ftyp"
    assert len(decoded(data[size:])[0]) / SAMPLE_RATE == pytest.approx(15.28, abs=0.05)


@pytest.mark.parametrize(
    ("name", "head"),
    [
        ("AMR", b"#!AMR\n"),
        ("AIFF", b"FORM\0\0\0\0AIFF"),
        ("CAF", b"caff\0\1"),
        ("a data: address", b"data:audio/webm;base64,GkXf"),
        ("HTML", b"<!DOCTYPE html>"),
        ("text", b"hello there, world"),
        ("JSON", b'{"type": "start"}'),
        ("a playlist", b"#EXTM3U\nhttp"),
    ],
)
def test_a_format_that_is_refused_is_named(name: str, head: bytes) -> None:
    with pytest.raises(OpenmicError, match=f"it is {name}") as failure:
        decoded(head + bytes(20_000))
    assert failure.value.code == "audio_not_decodable"
    assert "flac" in failure.value.hint


# --- the reader itself


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_parts_are_the_same_however_the_bytes_come(size: int) -> None:
    """Headers that are cut anywhere are found, and nothing before them is kept back or lost."""
    ebml = b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webmB\x87\x81\x04"
    parts = [
        b"first RIF RI OggS" + bytes(9),
        media.wav_head(10) + b"ab" * 5,
        ebml + bytes(70),
        b"\0\0\0\x18ftypisom" + b"x" * 9,
    ]
    reader = ChainReader(Slices(b"".join(parts), size))
    found = []
    while True:
        got = b""
        while data := reader.read(5):
            got += data
        found.append(got)
        more, left = reader.next_part()
        assert left == 0
        if not more:
            break
    assert found == parts


class Slices:
    """A source that gives so many bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size, self._at = data, size, 0

    def read(self, size: int) -> bytes:
        data = self._data[self._at : self._at + min(size, self._size)]
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (self._at if whence else 0)
        return self._at

    def tell(self) -> int:
        return self._at

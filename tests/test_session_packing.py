from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openmic.audio.decoder import AudioFormat
from openmic.sessions.packing import FLAC, FLOAT_FLAC, PLANES, RAW, ZLIB, Packer, unpack, unpacked_length

PCM = AudioFormat("pcm_s16le", 16_000, 1)


def voice(samples: int, channels: int = 1) -> np.ndarray:
    """16-bit samples with some order in them, shape (samples, channels)."""
    noise = np.random.default_rng(2).normal(0, 200, (samples, channels))
    return (np.cumsum(noise, axis=0) % 16_000 - 8_000).astype("<i2")


def packed(audio_format: AudioFormat, messages: list[bytes]) -> list[bytes]:
    packer = Packer(audio_format)
    pieces = []
    for message in messages:
        pieces.append(packer.pack(message))
        packer.took(message)
    assert [unpack(piece) for piece in pieces] == messages
    assert [unpacked_length(piece) for piece in pieces] == [len(message) for message in messages]
    return pieces


@pytest.mark.parametrize(
    ("audio_format", "data", "method"),
    [
        (PCM, voice(4000).tobytes(), FLAC),
        (AudioFormat("pcm_s16le", 48_000, 2), voice(4000, 2).tobytes(), FLAC),
        (AudioFormat("pcm_s16le", 48_000, 4), np.zeros(4000, "<i2").tobytes(), ZLIB),
        (AudioFormat("pcm_f32le", 16_000, 1), (voice(4000) / 32768).astype("<f4").tobytes(), FLOAT_FLAC),
        (AudioFormat("pcm_f32le", 16_000, 1), (voice(4000) / 3000).astype("<f4").tobytes(), PLANES),  # too loud
        (AudioFormat("pcm_f32le", 16_000, 3), (voice(4000, 3) / 32768).astype("<f4").tobytes(), PLANES),
        (AudioFormat("pcm_f32le", 16_000, 1), np.full(4000, np.nan, "<f4").tobytes(), PLANES),
        (PCM, np.random.default_rng(3).bytes(8000), RAW),
        (AudioFormat(), b"\x1aE\xdf\xa3" + bytes(4000), RAW),
    ],
)
def test_each_kind_of_sound_is_packed_in_the_way_that_fits_it(
    audio_format: AudioFormat, data: bytes, method: int
) -> None:
    (piece,) = packed(audio_format, [data])
    assert piece[0] == method
    assert len(piece) < len(data) or method == RAW


def test_floats_come_back_as_the_sixteen_bits_that_the_recording_has() -> None:
    floats = np.random.default_rng(5).uniform(-1, 1, (3000, 2)).astype("<f4") * np.float32(0.2)
    floats[:2] = [[1, -1], [1e-9, -1e-30]]
    data = floats.tobytes()
    messages = [data[:4001], data[4001:9002], data[9002:9003], data[9003:]]
    packer, back = Packer(AudioFormat("pcm_f32le", 48_000, 2)), b""
    for message in messages:
        back += unpack(packer.pack(message))
        packer.took(message)
    assert len(back) == len(data)
    cut = {4001 // 4, 9002 // 4, 9003 // 4}  # samples in two messages stay as they are
    error = np.abs(np.frombuffer(back, "<f4") - floats.ravel())
    assert np.delete(error, list(cut)).max() <= 1 / 32768
    assert np.array_equal(
        np.clip(np.rint(np.frombuffer(back, "<f4") * 32768), -32768, 32767),
        np.clip(np.rint(floats.ravel() * 32768), -32768, 32767),
    )


def test_messages_that_cut_samples_in_two_are_packed_all_the_same() -> None:
    data = voice(9000, 2).tobytes()
    messages = [data[:4001], data[4001:9002], data[9002:9003], data[9003:]]
    pieces = packed(AudioFormat("pcm_s16le", 44_100, 2), messages)
    assert [piece[0] for piece in pieces] == [FLAC, FLAC, RAW, FLAC]
    assert sum(map(len, pieces)) < 0.8 * len(data)


@pytest.mark.parametrize("first", [3, 44, 2044])
def test_a_wav_is_packed_behind_its_header(first: int) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((2, 2, 48_000, 0, "NONE", ""))
        sound.writeframes(voice(20_000, 2).tobytes())
    data = file.getvalue()
    messages = [data[:first], *(data[start : start + 8001] for start in range(first, len(data), 8001))]
    pieces = packed(AudioFormat(), messages)
    assert pieces[0][0] == RAW
    assert {piece[0] for piece in pieces[2:-1]} == {FLAC}


def test_a_wav_of_another_kind_goes_through_zlib() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 3, 16_000, 0, "NONE", ""))
        sound.writeframes(bytes(30_000))
    pieces = packed(AudioFormat(), [file.getvalue()[:1000], file.getvalue()[1000:]])
    assert [piece[0] for piece in pieces] == [RAW, ZLIB]


@settings(max_examples=80, deadline=None)
@given(
    encoding=st.sampled_from(["auto", "pcm_s16le", "pcm_f32le"]),
    channels=st.integers(1, 3),
    messages=st.lists(st.binary(max_size=300) | st.binary(max_size=30).map(lambda data: data * 20), max_size=5),
)
def test_whatever_is_sent_comes_back_to_the_byte(encoding: str, channels: int, messages: list[bytes]) -> None:
    packer = Packer(AudioFormat(encoding, 16_000, channels))  # type: ignore[arg-type]
    for message in messages:
        piece = packer.pack(message)
        packer.took(message)
        if piece[0] != FLOAT_FLAC:
            assert unpack(piece) == message
        assert len(unpack(piece)) == unpacked_length(piece) == len(message)

from __future__ import annotations

import io
import wave

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.corpus.recordings import sample_clips
from openmic.audio.decoder import AudioFormat, decode
from openmic.sessions.storage.packing import FLAC, FLOAT_FLAC, PLANES, RAW, ZLIB, Packer, unpack, unpacked_length

PCM = AudioFormat("pcm_s16le", 16_000, 1)


def voice(samples: int, channels: int = 1) -> np.ndarray:
    """16-bit samples with some order in them, shape (samples, channels)."""
    noise = np.random.default_rng(2).normal(0, 200, (samples, channels))
    return (np.cumsum(noise, axis=0) % 16_000 - 8_000).astype("<i2")


def both(samples: int, channels: int) -> np.ndarray:
    """The same 16-bit samples in every channel, shape (samples, channels)."""
    return np.repeat(voice(samples), channels, axis=1)


def sent_and_kept(audio_format: AudioFormat, messages: list[bytes]) -> bytes:
    """What comes back of messages, each as long as it was."""
    packer, back = Packer(audio_format), []
    for message in messages:
        back.append(unpack(packer.pack(message)))
        packer.took(message)
    assert [len(one) for one in back] == [len(message) for message in messages]
    return b"".join(back)


def heard(audio_format: AudioFormat, data: bytes) -> np.ndarray:
    """What the rest of openmic hears of a client's bytes, in 16-bit steps."""
    return np.concatenate([*decode(io.BytesIO(data), audio_format)]) * 32768


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
        (AudioFormat("pcm_s16le", 16_000, 2), both(4000, 2).tobytes(), FLAC),
        (AudioFormat("pcm_s16le", 48_000, 4), np.zeros(4000, "<i2").tobytes(), FLAC),
        (AudioFormat("pcm_f32le", 16_000, 1), (voice(4000) / 32768).astype("<f4").tobytes(), FLOAT_FLAC),
        (AudioFormat("pcm_f32le", 16_000, 1), (voice(4000) / 3000).astype("<f4").tobytes(), PLANES),  # too loud
        (AudioFormat("pcm_f32le", 16_000, 3), (both(4000, 3) / 32768).astype("<f4").tobytes(), FLOAT_FLAC),
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
    floats = np.random.default_rng(5).uniform(-1, 1, 6000).astype("<f4") * np.float32(0.2)
    floats[:4] = [1, -1, 1e-9, -1e-30]
    data = floats.tobytes()
    back = sent_and_kept(
        AudioFormat("pcm_f32le", 16_000, 1), [data[:4001], data[4001:9002], data[9002:9003], data[9003:]]
    )
    cut = {4001 // 4, 9002 // 4, 9003 // 4}  # samples in two messages stay as they are
    error = np.abs(np.frombuffer(back, "<f4") - floats)
    assert np.delete(error, list(cut)).max() <= 1 / 32768
    assert np.array_equal(
        np.clip(np.rint(np.frombuffer(back, "<f4") * 32768), -32768, 32767),
        np.clip(np.rint(floats * 32768), -32768, 32767),
    )


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le"])
@pytest.mark.parametrize(("rate", "channels"), [(16_000, 2), (22_050, 1), (44_100, 1), (48_000, 2), (96_000, 3)])
@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.25])
def test_of_wide_sound_what_is_heard_comes_back(encoding: str, rate: int, channels: int, seconds: float) -> None:
    speech = sample_clips()[0].samples[: 3 * 16_000]
    resampled = np.interp(np.arange(3 * rate) / rate, np.arange(len(speech)) / 16_000, speech)
    noise = np.random.default_rng(7).normal(0, 1e-3, (3 * rate, channels))  # each microphone's own, of all pitches
    sound = np.clip(resampled[:, np.newaxis] * np.linspace(1.0, 0.5, channels) + noise, -1, 1)
    data = (np.rint(sound * 32767).astype("<i2") if encoding == "pcm_s16le" else sound.astype("<f4")).tobytes()
    audio_format = AudioFormat(encoding, rate, channels)  # type: ignore[arg-type]
    size = round(rate * seconds) * channels * (2 if encoding == "pcm_s16le" else 4) + 1
    messages = [data[start : start + size] for start in range(0, len(data), size)]
    error = heard(audio_format, sent_and_kept(audio_format, messages)) - heard(audio_format, data)
    assert np.sqrt(np.mean(error**2)) < 0.6
    assert np.abs(error).max() < 16


def test_wide_sound_takes_little_more_than_what_is_heard_of_it() -> None:
    noise = np.random.default_rng(7).normal(0, 100, (48_000, 2)).astype("<i2")
    audio_format = AudioFormat("pcm_s16le", 48_000, 2)
    packer = Packer(audio_format)
    kept = 0
    for start in range(0, len(noise), 4800):
        data = noise[start : start + 4800].tobytes()
        kept += len(packer.pack(data))
        packer.took(data)
    narrow = len(Packer(PCM).pack(noise[::3, 0].tobytes()))
    assert kept < 2.2 * narrow < noise.nbytes / 4


def test_messages_that_cut_samples_in_two_are_packed_all_the_same() -> None:
    data = both(9000, 2).tobytes()
    messages = [data[:4001], data[4001:9002], data[9002:9003], data[9003:]]
    pieces = packed(AudioFormat("pcm_s16le", 16_000, 2), messages)
    assert [piece[0] for piece in pieces] == [FLAC, FLAC, RAW, FLAC]
    assert sum(map(len, pieces)) < 0.8 * len(data)


@pytest.mark.parametrize("first", [3, 44, 2044])
def test_a_wav_is_packed_behind_its_header(first: int) -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((2, 2, 16_000, 0, "NONE", ""))
        sound.writeframes(both(20_000, 2).tobytes())
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
def test_whatever_is_sent_comes_back_as_it_was_heard(encoding: str, channels: int, messages: list[bytes]) -> None:
    packer = Packer(AudioFormat(encoding, 16_000, channels))  # type: ignore[arg-type]
    for message in messages:
        piece = packer.pack(message)
        packer.took(message)
        if piece[0] != FLOAT_FLAC and (piece[0] != FLAC or channels == 1):
            assert unpack(piece) == message
        assert len(unpack(piece)) == unpacked_length(piece) == len(message)

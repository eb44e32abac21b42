"""Every container, cut anywhere, through the real FFmpeg; and everything a client can send that is not one."""

from __future__ import annotations

import random
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import psutil
import pytest

from openmic.audio import AudioFormat, decode
from openmic.audio.types import SAMPLE_RATE, ByteSource, Samples
from openmic.errors import OpenmicError
from tests.support import media

AUTO = AudioFormat()
DEADLINE = 60  # seconds, for waits that end at once unless something is broken
CODEC_DELAY = 1200  # samples at 48 kHz that an encoder may put before the sound (AAC: 1024)


@pytest.fixture(scope="module")
def recording(sample_audio: Path) -> media.Recording:
    """Fifteen seconds of speech."""
    return media.read_wav(sample_audio / "quickstart.wav")


@pytest.fixture(scope="module")
def encoded(recording: media.Recording) -> dict[str, bytes]:
    """The recording in every container, by its name."""
    return {name: make(recording) for name, make in media.CONTAINERS.items()}


def floats(recording: media.Recording) -> Samples:
    return recording.astype(np.float32) / np.float32(32768)


def all_of(source: ByteSource, audio_format: AudioFormat = AUTO) -> Samples:
    """Everything that decode gives, checked piece by piece."""
    pieces = list(decode(source, audio_format))
    for piece in pieces:
        assert piece.dtype == np.float32
        assert piece.ndim == 1
        assert 0 < len(piece) <= SAMPLE_RATE
        assert np.isfinite(piece).all()
        assert np.abs(piece).max() <= 1
    return np.concatenate(pieces)


def likeness(heard: Samples, said: Samples) -> tuple[float, int]:
    """The greatest correlation of two signals, and how many samples later ``heard`` has it."""
    size = 1 << (len(heard) + len(said)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)))
    lag = int(np.argmax(product))
    return float(np.max(product) / np.linalg.norm(heard) / np.linalg.norm(said)), lag - size if lag > size // 2 else lag


def code_of(data: bytes, audio_format: AudioFormat = AUTO) -> str:
    """The error that decoding ``data`` ends with."""
    with pytest.raises(OpenmicError) as caught:
        all_of(media.Whole(data), audio_format)
    assert "{" not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize("name", media.CONTAINERS)
def test_bytes_cut_anywhere_give_the_same_sound(
    name: str, recording: media.Recording, encoded: dict[str, bytes]
) -> None:
    heard = all_of(media.Whole(encoded[name], seed=1, largest=1_000_000))
    np.testing.assert_array_equal(all_of(media.Whole(encoded[name], seed=2, largest=100)), heard)
    if name in media.LOSSLESS:
        np.testing.assert_array_equal(heard, floats(recording))
        return
    correlation, lag = likeness(heard, floats(recording))
    assert correlation > 0.97
    assert 0 <= lag <= CODEC_DELAY * SAMPLE_RATE / 44_100
    assert 0 <= len(heard) - len(recording) <= 2 * CODEC_DELAY * SAMPLE_RATE / 44_100


@pytest.mark.parametrize("name", ["wav", "webm", "mp3"])
def test_bytes_one_by_one(name: str, recording: media.Recording) -> None:
    data = media.CONTAINERS[name](recording[: 2 * SAMPLE_RATE])
    np.testing.assert_array_equal(all_of(media.Whole(data, largest=1)), all_of(media.Whole(data, largest=10**6)))


@pytest.mark.parametrize("name", ["webm", "ogg", "fragmented_mp4", "m4a_index_first", "wav", "wav_length_zero", "mp3"])
def test_samples_come_while_the_client_still_speaks(name: str, recording: media.Recording) -> None:
    """With a second of sound on the wire and the source waiting for more, (almost) a second has come out."""
    spoken = recording[SAMPLE_RATE : 3 * SAMPLE_RATE]
    data = media.CONTAINERS[name](spoken)
    first, rest = data[: int(len(data) * 0.6)], data[int(len(data) * 0.6) :]
    source = media.Growing()
    source.send(first)
    heard = 0

    def listen() -> None:
        nonlocal heard
        for samples in decode(source, AUTO):
            heard += len(samples)

    with ThreadPoolExecutor(1) as thread:
        listening = thread.submit(listen)
        assert source.waiting.wait(DEADLINE)
        heard_before_more_came = heard
        source.send(rest)
        source.close()
        listening.result(DEADLINE)
    assert heard_before_more_came >= 0.7 * SAMPLE_RATE
    assert heard >= len(spoken)


def test_a_client_that_says_nothing_holds_up_nobody(encoded: dict[str, bytes]) -> None:
    """Four sessions wait inside FFmpeg's read while two others decode from beginning to end."""
    silent = [media.Growing() for _ in range(4)]
    with ThreadPoolExecutor(6) as threads:
        for source in silent:
            source.send(encoded["webm"][:5000])
        waiting = [threads.submit(all_of, source) for source in silent]
        assert all(source.waiting.wait(DEADLINE) for source in silent)
        speaking = [threads.submit(all_of, media.Whole(encoded[name])) for name in ("webm", "fragmented_mp4")]
        assert all(len(session.result(DEADLINE)) > 14 * SAMPLE_RATE for session in speaking)
        assert not any(session.done() for session in waiting)
        for source in silent:
            source.close()
        assert all(len(session.result(DEADLINE)) > 0 for session in waiting)


@pytest.mark.parametrize("name", media.CONTAINERS)
def test_a_client_that_vanishes_ends_it(name: str, encoded: dict[str, bytes]) -> None:
    source = media.Growing()
    source.send(encoded[name][:40_000])
    source.fail(ConnectionResetError("the phone is gone"))
    with pytest.raises(ConnectionResetError, match="the phone is gone"):
        all_of(source)


def test_a_client_that_vanishes_at_once_ends_it() -> None:
    for audio_format in (AUTO, AudioFormat("pcm_s16le", 16_000)):
        source = media.Growing()
        source.fail(ConnectionResetError())
        with pytest.raises(ConnectionResetError):
            all_of(source, audio_format)


def test_a_listener_that_stops_early_closes_the_decoder(encoded: dict[str, bytes]) -> None:
    pieces = decode(media.Whole(encoded["webm"]), AUTO)
    assert len(next(pieces)) > 0
    assert isinstance(pieces, Iterator)
    pieces.close()  # type: ignore[attr-defined]
    assert list(pieces) == []


@pytest.mark.parametrize("name", [name for name in media.CONTAINERS if name != "m4a"])
def test_what_is_before_a_cut_is_heard(name: str, recording: media.Recording, encoded: dict[str, bytes]) -> None:
    data = encoded[name]
    whole = all_of(media.Whole(data))
    for part in (0.25, 0.5, 0.9):
        heard = all_of(media.Whole(data[: int(len(data) * part)]))
        # the rate of a codec varies, so seconds are not exactly proportional to bytes
        assert (part - 0.12) * len(recording) < len(heard) < (part + 0.12) * len(recording)
        same = len(heard) - SAMPLE_RATE // 2
        assert likeness(heard[:same], whole[:same])[0] > 0.999


def test_mp4_without_the_index_at_its_end_is_an_error(encoded: dict[str, bytes]) -> None:
    assert code_of(encoded["m4a"][:-5000]) == "audio_not_decodable"


@pytest.mark.parametrize("name", ["webm", "ogg", "fragmented_mp4", "m4a", "flac", "mp3", "aac", "wav"])
def test_damage_in_the_middle_costs_only_itself(name: str, encoded: dict[str, bytes]) -> None:
    data = bytearray(encoded[name])
    begin, length = len(data) // 2, 2000
    if name == "fragmented_mp4":  # whose boxes are found by their lengths: without one of them the rest is lost
        begin, length = data.index(b"mdat", begin) + 4, 1000
    data[begin : begin + length] = random.Random(0).randbytes(length)
    whole, heard = all_of(media.Whole(encoded[name])), all_of(media.Whole(bytes(data)))
    assert len(heard) > 0.8 * len(whole)
    last = 3 * SAMPLE_RATE  # the end is there again
    assert likeness(heard[-last:], whole[-last:])[0] > 0.9


def test_mp4_of_an_upload_may_have_its_index_last(encoded: dict[str, bytes]) -> None:
    """The decoder looks for the index beyond what has arrived, and goes back when it is there."""
    source, data = media.Growing(), encoded["m4a"]
    with ThreadPoolExecutor(1) as thread:
        decoding = thread.submit(all_of, source)
        for start in range(0, len(data), 20_000):
            assert source.waiting.wait(DEADLINE)
            source.send(data[start : start + 20_000])
        source.close()
        np.testing.assert_array_equal(decoding.result(DEADLINE), all_of(media.Whole(data)))


def test_what_stands_behind_the_sound_is_read_but_not_heard(recording: media.Recording) -> None:
    source = media.Whole(media.wav(recording) + b"LIST\x08\x00\x00\x00INFOabcd" + bytes(50_000))
    np.testing.assert_array_equal(all_of(source), floats(recording))
    assert source.read(1) == b""


def test_ogg_files_sent_one_after_another_are_one_stream(recording: media.Recording) -> None:
    data = media.ogg(recording[: 5 * SAMPLE_RATE])
    heard = all_of(media.Whole(data * 3))
    assert abs(len(heard) - 15 * SAMPLE_RATE) < 0.1 * SAMPLE_RATE


@pytest.mark.parametrize("name", media.TAGGED)
def test_a_title_that_is_not_utf_8_costs_no_sound(name: str, recording: media.Recording) -> None:
    """Players and voice memo apps write titles in whatever encoding their machine has."""
    spoken = recording[: 2 * SAMPLE_RATE]
    plain = all_of(media.Whole(media.tagged(spoken, name, b"Munchen")))
    assert len(plain) >= len(spoken)
    for title in ("M\u00fcnchen".encode("latin-1"), "\u6771\u4eac".encode("shift-jis"), b"\xff\xfe\x80\x81"):
        np.testing.assert_array_equal(all_of(media.Whole(media.tagged(spoken, name, title))), plain)


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 6, 16])
@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le"])
def test_raw_samples(rate: int, channels: int, encoding: str) -> None:
    """A tone of 440 Hz comes out at 440 Hz, as long and as loud as it was."""
    times = np.arange(3 * rate) / rate
    tone = np.repeat(0.5 * np.sin(2 * np.pi * 440 * times)[:, np.newaxis], channels, axis=1)
    data = (tone * 32767).astype("<i2") if encoding == "pcm_s16le" else tone.astype("<f4")
    heard = all_of(media.Whole(data.tobytes(), largest=9999), AudioFormat(encoding, rate, channels))  # type: ignore[arg-type]
    assert abs(len(heard) - 3 * SAMPLE_RATE) <= 32
    middle = heard[SAMPLE_RATE : 2 * SAMPLE_RATE]
    assert int(np.argmax(np.abs(np.fft.rfft(middle)))) == 440
    assert abs(float(np.abs(middle).max()) - 0.5) < 0.01


def test_raw_samples_at_our_own_rate_are_left_as_they_are(recording: media.Recording) -> None:
    data = recording.astype("<i2").tobytes()
    heard = all_of(media.Whole(data, largest=333), AudioFormat("pcm_s16le", SAMPLE_RATE))
    np.testing.assert_array_equal(heard, floats(recording))


def test_half_a_raw_sample_at_the_end_is_dropped() -> None:
    heard = all_of(media.Whole(np.ones(100, "<i2").tobytes() + b"\x01\x00\x02"), AudioFormat("pcm_s16le", 16_000, 2))
    assert len(heard) == 50
    assert code_of(b"\x01", AudioFormat("pcm_s16le", 16_000)) == "audio_empty"


def test_channels_become_their_mean() -> None:
    stereo = np.array([[8192, 16384], [-8192, 8192]], "<i2")
    heard = all_of(media.Whole(stereo.tobytes()), AudioFormat("pcm_s16le", 16_000, 2))
    np.testing.assert_array_equal(heard, [0.375, 0.0])


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_what_is_no_number_is_silence(rate: int) -> None:
    bad = np.full(3 * rate, 0.25, "<f4")
    bad[rate : rate + 4] = [np.nan, np.inf, -np.inf, 3e38]
    heard = all_of(media.Whole(bad.tobytes()), AudioFormat("pcm_f32le", rate))
    assert abs(float(heard[SAMPLE_RATE // 2]) - 0.25) < 0.001
    assert abs(float(heard[-SAMPLE_RATE // 2]) - 0.25) < 0.001


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_wav_of_a_program_that_streams(length: int, recording: media.Recording) -> None:
    heard = all_of(media.Whole(media.wav_with_length(recording, length)))
    np.testing.assert_array_equal(heard, floats(recording))


@pytest.mark.parametrize(
    "codec", ["pcm_u8", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw"]
)
def test_other_kinds_of_wav(codec: str, recording: media.Recording) -> None:
    heard = all_of(media.Whole(media.encode(recording, "wav", codec)))
    assert len(heard) == len(recording)
    assert likeness(heard, floats(recording)) == (pytest.approx(1, abs=0.03), 0)


NOT_AUDIO = {
    "random": random.Random(7).randbytes(100_000),
    "zeros": bytes(10_000),
    "one byte": b"\x1a",
    "png": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + random.Random(1).randbytes(5000),
    "jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF" + random.Random(2).randbytes(5000),
    "html": b"<!doctype html><html><body>not found</body></html>" * 20,
    "json": b'{"type": "start", "language": "en"}' * 20,
    "utf-16 text": "\ufeffhello".encode("utf-16-le") * 99,
    "a playlist, which would make FFmpeg fetch": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/secret.ts\n" * 20,
    "a list of files, which FFmpeg would open": b"ffconcat version 1.0\nfile /etc/passwd\n" * 20,
    "webm's first bytes only": b"\x1aE\xdf\xa3" + random.Random(3).randbytes(5000),
    "ogg's first bytes only": b"OggS" + random.Random(4).randbytes(5000),
    "mp4's first bytes only": b"\x00\x00\x00\x18ftypmp42" + random.Random(5).randbytes(5000),
    "flac's first bytes only": b"fLaC" + random.Random(6).randbytes(5000),
}


@pytest.mark.parametrize("what", NOT_AUDIO)
def test_what_is_not_audio(what: str) -> None:
    assert code_of(NOT_AUDIO[what]) == "audio_not_decodable"


def test_nothing_at_all() -> None:
    assert code_of(b"") == "audio_empty"
    assert code_of(b"", AudioFormat("pcm_f32le", 48_000)) == "audio_empty"
    assert code_of(media.wav_with_length(np.zeros(0, np.int16), 0)) == "audio_empty"


def test_video_without_sound() -> None:
    target = media.OneWay()
    with av.open(target, "w", format="matroska") as file:
        track = file.add_stream("mpeg4", rate=10, width=64, height=64, pix_fmt="yuv420p")
        for _ in range(10):
            file.mux(track.encode(av.VideoFrame(64, 64, "yuv420p")))
        file.mux(track.encode(None))
    assert code_of(target.getvalue()) == "audio_track_missing"


@pytest.mark.parametrize(
    ("code", "encoding", "rate", "channels"),
    [
        ("audio_rate_invalid", "pcm_s16le", 0, 1),
        ("audio_rate_invalid", "pcm_s16le", -16_000, 1),
        ("audio_rate_invalid", "pcm_s16le", 10**9, 1),
        ("audio_rate_invalid", "pcm_s16le", 16_000.5, 1),
        ("audio_rate_invalid", "auto", 10**9, 1),
        ("audio_rate_missing", "pcm_s16le", None, 1),
        ("audio_rate_missing", "pcm_f32le", None, None),
        ("audio_channels_invalid", "pcm_s16le", 16_000, 0),
        ("audio_channels_invalid", "pcm_s16le", 16_000, 17),
        ("audio_channels_invalid", "pcm_s16le", 16_000, True),
        ("audio_encoding_unknown", "mp3", 16_000, 1),
    ],
)
def test_what_a_client_may_not_say(code: str, encoding: str, rate: int, channels: int) -> None:
    with pytest.raises(OpenmicError) as caught:
        AudioFormat(encoding, rate, channels)  # type: ignore[arg-type]
    assert caught.value.code == code
    assert caught.value.hint


@pytest.mark.parametrize(("rate", "channels"), [(0, 1), (10**9, 1), (16_000, 0), (16_000, 60_000)])
def test_what_a_wav_header_may_not_say(rate: int, channels: int, recording: media.Recording) -> None:
    data = bytearray(media.wav_with_length(recording, 0))
    data[22:28] = channels.to_bytes(2, "little") + rate.to_bytes(4, "little")
    assert code_of(bytes(data)) == "audio_not_decodable"


class Repeated:
    """A ByteSource that gives one piece again and again."""

    def __init__(self, piece: bytes, times: int) -> None:
        self._piece, self._left = piece, len(piece) * times

    def read(self, size: int) -> bytes:
        start = -self._left % len(self._piece)
        data = self._piece[start : start + min(size, self._left)]
        self._left -= len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        raise AssertionError("only MP4 needs to seek")

    def tell(self) -> int:
        raise AssertionError("only MP4 needs to seek")


def test_an_hour_of_raw_samples_takes_no_more_memory_than_a_minute() -> None:
    source, heard = Repeated(bytes(2 * 60 * SAMPLE_RATE), 60), 0
    tracemalloc.start()
    for samples in decode(source, AudioFormat("pcm_s16le", SAMPLE_RATE)):
        heard += len(samples)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert heard == 3600 * SAMPLE_RATE
    assert peak < 1_000_000  # bytes; a minute of samples is 3.8 million


@pytest.mark.slow
def test_ten_minutes_of_opus_take_no_more_memory_than_one() -> None:
    minute = media.ogg(np.zeros(60 * SAMPLE_RATE, np.int16))
    assert sum(map(len, decode(Repeated(minute, 1), AUTO))) >= 60 * SAMPLE_RATE
    before, heard = resident_bytes(), 0
    for samples in decode(Repeated(minute, 10), AUTO):
        heard += len(samples)
    assert abs(heard - 600 * SAMPLE_RATE) < SAMPLE_RATE
    assert resident_bytes() - before < 15_000_000  # ten minutes of samples are 38 million


def resident_bytes() -> int:
    return int(psutil.Process().memory_info().rss)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damage as a network, a disk or somebody with bad intentions does it."""
    damaged = bytearray(data[: rng.randint(100, len(data))] if rng.random() < 0.3 else data)
    for _ in range(rng.choice([1, 5, 50, 500])):
        at = rng.randrange(min(len(damaged), rng.choice([64, 1000, len(damaged)])))
        match rng.randrange(4):
            case 0:
                damaged[at] = rng.randrange(256)
            case 1:
                damaged[at : at + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
            case 2:
                del damaged[at : at + rng.randint(1, 20)]
            case _:
                damaged[at:at] = rng.randbytes(rng.randint(1, 20))
        if len(damaged) < 2:
            break
    return bytes(damaged)


@pytest.mark.parametrize("name", media.CONTAINERS)
def test_damaged_containers_neither_crash_nor_hang(name: str, recording: media.Recording) -> None:
    data = media.CONTAINERS[name](recording[: 3 * SAMPLE_RATE])
    rng = random.Random(name)
    for number in range(20):
        damaged = mutate(data, rng)
        outcome: list[str] = []

        def work(damaged: bytes = damaged, outcome: list[str] = outcome) -> None:
            try:
                outcome.append(f"{len(all_of(media.Whole(damaged, largest=10_000)))} samples")
            except OpenmicError as error:
                outcome.append(error.code)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        thread.join(DEADLINE)
        assert not thread.is_alive(), f"{name} {number} hangs"
        assert outcome, f"{name} {number} raised something else"

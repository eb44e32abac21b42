"""Files for downloads: what is read back is what was written."""

from __future__ import annotations

import wave
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from openmic.audio import SAMPLE_RATE, AudioFormat, Samples, decode, flac_stream, write_wav
from tests.support import media

Write = Callable[[Path, Iterable[Samples]], None]


def write_flac(path: Path, chunks: Iterable[Samples]) -> None:
    """The pieces of a FLAC stream, put together."""
    chunks = list(chunks)
    path.write_bytes(b"".join(flac_stream(chunks, sum(map(len, chunks)))))


@pytest.mark.parametrize(("write", "suffix"), [(write_wav, "wav"), (write_flac, "flac")])
@pytest.mark.parametrize("size", [1, 700, 16_000, 10**6])
def test_what_is_written_is_read_back(write: Write, suffix: str, size: int, sample_audio: Path, tmp_path: Path) -> None:
    recording = media.read_wav(sample_audio / "quickstart.wav")[: 2 * SAMPLE_RATE]
    samples = recording.astype(np.float32) / np.float32(32768)
    path = tmp_path / f"copy.{suffix}"
    write(path, (samples[start : start + size] for start in range(0, len(samples), size)))
    np.testing.assert_array_equal(media.read_wav(path), recording)
    heard = np.concatenate(list(decode(media.Whole(path.read_bytes()), AudioFormat())))
    np.testing.assert_array_equal(heard, samples)


@pytest.mark.parametrize(("write", "suffix"), [(write_wav, "wav"), (write_flac, "flac")])
def test_too_loud_is_clipped_not_wrapped(write: Write, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"loud.{suffix}"
    write(path, [np.array([2.0, -2.0, 1.0, -1.0, 0.0], np.float32)])
    np.testing.assert_array_equal(media.read_wav(path), [32767, -32768, 32767, -32768, 0])


@pytest.mark.parametrize(("write", "suffix"), [(write_wav, "wav"), (write_flac, "flac")])
@pytest.mark.parametrize("chunks", [[], [np.zeros(0, np.float32)]])
def test_nothing_is_a_file_too(write: Write, suffix: str, chunks: list[Samples], tmp_path: Path) -> None:
    path = tmp_path / f"empty.{suffix}"
    write(path, chunks)
    with av.open(str(path)) as file:
        assert file.streams.audio[0].rate == SAMPLE_RATE


def test_wav_is_what_the_standard_library_reads(tmp_path: Path) -> None:
    path = tmp_path / "zeros.wav"
    write_wav(path, [np.zeros(160, np.float32)] * 100)
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE)
        assert file.getnframes() == 16_000


def test_flac_is_smaller(sample_audio: Path, tmp_path: Path) -> None:
    samples = media.read_wav(sample_audio / "quickstart.wav").astype(np.float32) / np.float32(32768)
    write_flac(tmp_path / "a.flac", [samples])
    write_wav(tmp_path / "a.wav", [samples])
    assert (tmp_path / "a.flac").stat().st_size < 0.7 * (tmp_path / "a.wav").stat().st_size


def test_flac_says_in_its_header_how_long_it_is(sample_audio: Path, tmp_path: Path) -> None:
    samples = media.read_wav(sample_audio / "quickstart.wav").astype(np.float32) / np.float32(32768)
    write_flac(tmp_path / "a.flac", [samples])
    with av.open(str(tmp_path / "a.flac")) as file:
        assert file.duration == pytest.approx(len(samples) / SAMPLE_RATE * 1_000_000, abs=1)


def test_flac_goes_out_while_it_is_written() -> None:
    """One chunk is read at a time, and its bytes are handed on before the next is read."""
    noise = np.random.default_rng(1).uniform(-0.5, 0.5, SAMPLE_RATE).astype(np.float32)
    out, largest = 0, 0

    def chunks() -> Iterator[Samples]:
        nonlocal largest
        for number in range(60):
            largest = max(largest, 2 * SAMPLE_RATE * number - out)
            yield noise

    for piece in flac_stream(chunks(), 60 * SAMPLE_RATE):
        out += len(piece)
    assert out > 60 * SAMPLE_RATE
    assert largest < 10 * SAMPLE_RATE

from __future__ import annotations

import io
import os
import threading
import wave
from pathlib import Path

import numpy as np
import pytest

from openmic.audio.types import SAMPLE_RATE
from openmic.sessions.export import HEADER_BYTES, wav_header
from openmic.sessions.storage.record_file import DamagedRecord
from openmic.sessions.storage.recording import BLOCK_SAMPLES, KEPT_BLOCKS, DiskRecording


def sound(seconds: float) -> np.ndarray:
    """Something that FLAC can shorten, and no two samples of which say where they are."""
    noise = np.random.default_rng(1).normal(0, 300, round(seconds * SAMPLE_RATE))
    return (np.cumsum(noise) % 20_000 - 10_000).round().astype(np.float32) / 32768


def test_what_was_appended_is_read_back_in_any_slice(tmp_path: Path) -> None:
    recording = DiskRecording(tmp_path / "r")
    whole = sound(70)
    for start in range(0, len(whole), 13_333):
        recording.append(whole[start : start + 13_333])
    assert len(recording) == len(whole)
    assert recording.seconds == 70
    block = BLOCK_SAMPLES
    slices = [(0, 10), (block - 1, block + 1), (0, len(whole)), (3 * block + 5, 6 * block), (len(whole) - 7, 10**9)]
    for packed in (False, True):
        if packed:
            recording.pack()
        for start, stop in [*slices, (-3, 4), (10**8, 10**9), (10, 10), (20, 10)]:
            read = recording.read(start, stop)
            assert read.dtype == np.float32
            np.testing.assert_array_equal(read, whole[max(0, start) : stop])
    stored = DiskRecording.stored(tmp_path / "r")
    assert len(stored) == len(whole)
    np.testing.assert_array_equal(stored.read(5, len(whole)), whole[5:])


def test_an_hour_stands_in_little_memory_and_packed_in_half_of_the_disk(tmp_path: Path) -> None:
    recording = DiskRecording(tmp_path / "r")
    whole = sound(70)
    recording.append(whole)
    assert (tmp_path / "r.pcm").stat().st_size == 2 * len(whole)
    recording.pack()
    np.testing.assert_array_equal(recording.read(0, len(whole)), whole)
    assert len(recording._blocks) <= KEPT_BLOCKS
    assert [path.name for path in tmp_path.iterdir()] == ["r"]
    assert (tmp_path / "r").stat().st_size < 0.8 * 2 * len(whole)


def test_a_full_disk_leaves_the_plain_samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = DiskRecording(tmp_path / "r")
    recording.append(sound(10))

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            recording.pack()
    assert [path.name for path in tmp_path.iterdir()] == ["r.pcm"]
    np.testing.assert_array_equal(recording.read(0, 10**9), sound(10))
    np.testing.assert_array_equal(DiskRecording.stored(tmp_path / "r").read(0, 10**9), sound(10))
    recording.pack()
    np.testing.assert_array_equal(DiskRecording.stored(tmp_path / "r").read(0, 10**9), sound(10))


def test_who_reads_while_it_is_packed_notices_nothing(tmp_path: Path) -> None:
    recording = DiskRecording(tmp_path / "r")
    whole = sound(60)
    recording.append(whole)
    packer = threading.Thread(target=recording.pack)
    packer.start()
    while packer.is_alive():
        np.testing.assert_array_equal(
            recording.read(SAMPLE_RATE, 20 * SAMPLE_RATE), whole[SAMPLE_RATE : 20 * SAMPLE_RATE]
        )
    packer.join()
    np.testing.assert_array_equal(recording.read(0, len(whole)), whole)


def test_sixteen_bit_sound_comes_back_exactly_and_loud_sound_is_clipped(tmp_path: Path) -> None:
    recording = DiskRecording(tmp_path / "r")
    exact = np.array([-32768, -1, 0, 1, 12345, 32767], np.float32) / np.float32(32768)
    recording.append(exact)
    recording.append(np.array([1.0, 7.0, -7.0], np.float32))
    np.testing.assert_array_equal(recording.read(0, 6), exact)
    np.testing.assert_array_equal(recording.read(6, 9), np.array([32767, 32767, -32768], np.float32) / 32768)


def test_a_packed_recording_takes_no_more_and_holds_no_file_open(tmp_path: Path) -> None:
    before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else set()
    recording = DiskRecording(tmp_path / "r")
    recording.append(np.zeros(1234, np.float32))
    recording.complete()
    recording.append(np.zeros(10, np.float32))
    recording.pack()
    recording.pack()
    assert len(recording) == 1234
    assert recording.read_pcm(0, 1234) == bytes(2468)
    if before:
        assert set(os.listdir("/proc/self/fd")) <= before
    recording.forget()
    (tmp_path / "r").unlink()
    assert recording.read(0, 10).shape == (0,)
    assert len(recording) == 1234


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    recording = DiskRecording(tmp_path / "r")
    recording.append(sound(17))
    recording.pack()
    data = bytearray((tmp_path / "r").read_bytes())
    data[len(data) // 4] ^= 1
    (tmp_path / "r").write_bytes(data)
    recording._blocks.clear()
    with pytest.raises(DamagedRecord):
        recording.read(0, 100)
    assert len(DiskRecording.stored(tmp_path / "r")) == 0  # in order, as far as it is good
    assert len(DiskRecording.stored(tmp_path / "nowhere")) == 0


def test_a_header_made_for_a_growing_recording_is_valid() -> None:
    with wave.open(io.BytesIO(wav_header(3) + b"\0" * 6)) as file:
        assert file.getnframes() == 3
    assert len(wav_header(10**12)) == HEADER_BYTES


def test_it_can_be_read_while_it_grows(tmp_path: Path) -> None:
    recording = DiskRecording(tmp_path / "r")
    ramp = (np.arange(400_000) % 30_000).astype(np.float32) / np.float32(32768)

    def grow() -> None:
        for start in range(0, len(ramp), 500):
            recording.append(ramp[start : start + 500])

    writer = threading.Thread(target=grow)
    writer.start()
    checked = 0
    while checked < len(ramp):
        length = len(recording)
        np.testing.assert_array_equal(recording.read(checked, length), ramp[checked:length])
        checked = length
    writer.join(120)

from __future__ import annotations

import io
import threading
import wave
from pathlib import Path

import numpy as np

from openmic.audio.types import SAMPLE_RATE
from openmic.sessions.recording import HEADER_BYTES, DiskRecording, wav_header


def test_what_was_appended_is_read_back_in_any_slice(tmp_path: Path) -> None:
    recording = DiskRecording(tmp_path / "a.wav")
    sound = np.random.default_rng(1).uniform(-1, 1, 5000).astype(np.float32)
    for start in range(0, 5000, 700):
        recording.append(sound[start : start + 700])
    assert len(recording) == 5000
    assert recording.seconds == 5000 / SAMPLE_RATE
    for start, stop in [(0, 5000), (699, 701), (4999, 9000), (-3, 4), (6000, 7000), (10, 10)]:
        read = recording.read(start, stop)
        assert read.dtype == np.float32
        np.testing.assert_allclose(read, sound[max(0, start) : stop], atol=1 / 32768)


def test_sixteen_bit_sound_comes_back_exactly_and_loud_sound_is_clipped(tmp_path: Path) -> None:
    recording = DiskRecording(tmp_path / "a.wav")
    exact = np.array([-32768, -1, 0, 1, 12345, 32767], np.float32) / 32768
    recording.append(exact)
    recording.append(np.array([1.0, 7.0, -7.0], np.float32))
    np.testing.assert_array_equal(recording.read(0, 6), exact)
    np.testing.assert_array_equal(recording.read(6, 9), np.array([32767, 32767, -32768], np.float32) / 32768)


def test_the_closed_file_is_a_wav_that_others_read(tmp_path: Path) -> None:
    recording = DiskRecording(tmp_path / "a.wav")
    recording.append(np.zeros(1234, np.float32))
    recording.close()
    recording.append(np.zeros(10, np.float32))
    recording.close()
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()) == (1, 2, 16000, 1234)
    assert recording.read(0, 10).shape == (0,)
    recording.delete()
    assert not (tmp_path / "a.wav").exists()


def test_a_header_made_for_a_growing_recording_is_valid() -> None:
    with wave.open(io.BytesIO(wav_header(3) + b"\0" * 6)) as file:
        assert file.getnframes() == 3
    assert len(wav_header(10**12)) == HEADER_BYTES


def test_it_can_be_read_while_it_grows(tmp_path: Path) -> None:
    recording = DiskRecording(tmp_path / "a.wav")
    ramp = (np.arange(50_000) % 30_000).astype(np.float32) / 32768

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
    writer.join(10)

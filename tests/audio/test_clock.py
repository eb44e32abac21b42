"""Where a container's clock goes on without sound there is silence; nothing else moves a sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from openmic.audio import AudioFormat, decode
from openmic.audio.clock import StreamClock
from openmic.audio.types import SAMPLE_RATE, Samples
from tests.support import media

FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "frag_duration": "250000"}
CONTAINERS = [
    ("webm", "libopus", {}),
    ("matroska", "aac", {}),
    ("matroska", "pcm_s16le", {}),
    ("mp4", "aac", FRAGMENTED),
    ("mp4", "libopus", FRAGMENTED),
    ("ogg", "libopus", {}),
]


@pytest.fixture(scope="module")
def recording(sample_audio: Path) -> media.Recording:
    return media.read_wav(sample_audio / "quickstart.wav")


def decoded(data: bytes) -> Samples:
    return np.concatenate(list(decode(media.Whole(data), AudioFormat())))


def found_at(heard: Samples, recording: media.Recording, begin: float, end: float) -> float:
    """Second of ``heard`` that is most like those seconds of the recording."""
    part = recording[int(begin * SAMPLE_RATE) : int(end * SAMPLE_RATE)].astype(np.float32) / 32768
    size = 1 << (len(heard) + len(part)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(part, size)))
    return int(np.argmax(product[: len(heard)])) / SAMPLE_RATE


def later(seconds: float, by: float) -> Callable[[float], float]:
    return lambda at: at + by if at >= seconds else at


@pytest.mark.parametrize(("container", "codec", "options"), CONTAINERS)
@pytest.mark.parametrize("hole_seconds", [0.5, 4.0])
def test_a_hole_is_silence(
    container: str, codec: str, options: dict[str, str], hole_seconds: float, recording: media.Recording
) -> None:
    data = media.remuxed(recording, container, codec, change=later(5.0, hole_seconds), options=options)
    heard = decoded(data)
    assert found_at(heard, recording, 12, 14.5) == pytest.approx(12 + hole_seconds, abs=0.1)
    assert len(heard) / SAMPLE_RATE == pytest.approx(15.25 + hole_seconds, abs=0.15)


@pytest.mark.parametrize(("container", "codec", "options"), CONTAINERS[:5])
def test_jitter_and_a_clock_that_is_set_anew_move_nothing(
    container: str, codec: str, options: dict[str, str], recording: media.Recording
) -> None:
    jitter = np.random.default_rng(1)
    for change in (lambda at: at + float(jitter.uniform(0, 0.016)), later(5.0, 7200.0)):
        heard = decoded(media.remuxed(recording, container, codec, change=change, options=options))
        assert found_at(heard, recording, 12, 14.5) == pytest.approx(12, abs=0.1)
        assert len(heard) / SAMPLE_RATE == pytest.approx(15.25, abs=0.1)


@pytest.mark.parametrize("container", ["webm", "ogg"])
def test_packets_that_are_not_sent_in_silence_are_silence(container: str, recording: media.Recording) -> None:
    quiet = np.concatenate(
        [recording[: 4 * SAMPLE_RATE], np.zeros(6 * SAMPLE_RATE, np.int16), recording[4 * SAMPLE_RATE :]]
    )
    data = media.remuxed(quiet, container, "libopus", change=lambda at: None if 4.2 < at < 9.8 else at)
    assert found_at(decoded(data), recording, 4.5, 7) == pytest.approx(10.5, abs=0.1)


def test_a_track_that_begins_after_its_video_begins_there(recording: media.Recording) -> None:
    data = media.remuxed(recording, "matroska", "aac", change=lambda at: at + 4.1, video_seconds=20)
    assert found_at(decoded(data), recording, 5, 8) == pytest.approx(9.1, abs=0.1)


def test_a_track_alone_begins_at_once(recording: media.Recording) -> None:
    data = media.remuxed(recording, "webm", "libopus", change=lambda at: at + 100.0)
    assert found_at(decoded(data), recording, 5, 8) == pytest.approx(5, abs=0.1)


def test_packets_stamped_as_they_arrived_are_not_filled_twice() -> None:
    """After a stall many packets come at once: the second stall is behind the samples that are there already."""
    clock = StreamClock()
    assert clock.gap_seconds(0.0, 0.02) == 0.0
    assert clock.gap_seconds(1.02, 0.02) == pytest.approx(1.0)
    assert [clock.gap_seconds(1.03, 0.02) for _ in range(50)] == [0.0] * 50
    assert clock.gap_seconds(2.04, 0.02) == 0.0
    assert clock.gap_seconds(None, 0.02) == 0.0

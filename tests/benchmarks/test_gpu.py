"""The GPU's benchmark, as far as a processor can run it: sessions in virtual real time, parts of a step, its tables."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import gpu
from benchmarks.corpus.alignment import aligned
from benchmarks.corpus.reading import Reading
from benchmarks.corpus.recordings import Clip, sample_clips
from benchmarks.simulated import crowd
from benchmarks.simulated.crowd import LiveStep
from benchmarks.simulated.pieces import Pieces, least_bytes, random_model
from openmic.audio.types import SAMPLE_RATE
from openmic.settings import Settings
from openmic.speech.model.decoder import Decoder
from tests.support.small_whisper import small_whisper


@pytest.fixture(scope="module")
def reading() -> Reading:
    """Ten words in four seconds."""
    clip = next(clip for clip in sample_clips() if clip.name == "quickstart")
    shorter = Clip("greeting", clip.samples[: 4 * SAMPLE_RATE], clip.text.split(".")[0])
    return Reading(shorter.name, shorter.samples, shorter.text, tuple(aligned(shorter)))


@pytest.fixture(scope="module")
def parts(base_model: Any) -> gpu.Parts:
    return gpu.Parts("base", base_model, 3)


def test_sessions_share_steps_and_get_their_words_at_the_pace_that_steps_take(
    parts: gpu.Parts, reading: Reading
) -> None:
    settings = Settings(live_step_seconds=1.0)
    found = crowd.run(parts.live, parts.final, reading, 2, settings, lambda step: 0.05 * step.sessions)
    assert found.measured.words == 20
    assert found.measured.missing == 0
    assert found.measured.live_wer == 0.0
    assert found.measured.stable is not None
    assert found.measured.stable.median < 2.0
    assert 4.0 + crowd.SPREAD_SECONDS / 2 < found.seconds < 10.0
    assert found.busy == pytest.approx(sum(step.seconds for step in found.steps) / found.seconds)
    assert all(max(step.choices, default=0) <= step.sessions for step in found.steps)
    assert any(step.choices for step in found.steps)


def test_a_device_that_is_too_slow_shows_as_delay(parts: gpu.Parts, reading: Reading) -> None:
    found = crowd.run(parts.live, parts.final, reading, 2, Settings(live_step_seconds=1.0), lambda step: 6.0)
    assert max(step.sessions for step in found.steps) == 2  # who is due at the same time shares a step
    assert found.measured.stable is not None
    assert found.measured.stable.median > 4.0
    assert found.busy > 0.8


def test_the_time_of_parts_is_added_up_for_a_step() -> None:
    pieces = Pieces((1, 4), encode=(0.1, 0.4), check=(0.01, 0.02), choose=(0.001, 0.004), floor=(0.0, 0.0))
    assert pieces.seconds(LiveStep(4, (4, 2, 1), 9.0)) == pytest.approx(0.4 + 0.02 + 0.004 + 0.002 + 0.001)


def test_a_pass_reads_at_least_the_weights_and_each_rows_keys_and_values() -> None:
    decoder = Decoder(small_whisper(), "float32")  # two layers, a width of 64
    weights = 2 * 14 * 64**2 + 51_865 * 64
    assert least_bytes(decoder, 3, 500, 40) == 4 * (weights + 3 * 2 * 2 * 540 * 64)


def test_random_weights_give_numbers() -> None:
    model = random_model("tiny", torch.device("cpu"))
    with torch.inference_mode():
        logits = model.decoder(torch.tensor([[1, 2, 3]]), torch.randn(1, 20, 384))
    assert np.isfinite(logits.numpy()).all()


@pytest.mark.weights
def test_it_says_that_there_is_no_gpu_and_prints_its_tables(
    reading: Reading, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "load_reading", lambda seconds: reading)
    before = torch.get_num_threads()
    gpu.main(["--device", "cpu", "--sessions", "2"])
    torch.set_num_threads(before)
    told = capsys.readouterr().out
    assert told.startswith("No GPU is used")
    for line in ("| base | 2 |", "| tiny | 2 |"):
        assert line in told
    for head in (gpu.HEAD, gpu.PIECES_HEAD):
        assert head in told
        columns = head.splitlines()[0].count("|")
        assert columns in {line.count("|") for line in told.splitlines() if line.startswith("| tiny")}


@pytest.mark.gpu
def test_on_a_gpu_sixty_four_sessions_share_graphs(base_model: Any, reading: Reading) -> None:
    on_gpu = gpu.Parts("base", copy.deepcopy(base_model).to("cuda"), 64)
    assert "CUDA graphs" in on_gpu.told()
    found = crowd.run(on_gpu.live, on_gpu.final, reading, 64, Settings(live_step_seconds=1.0))
    assert found.measured.missing == 0
    assert found.measured.live_wer < 0.02

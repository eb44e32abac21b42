"""From settings to a running engine: choose, fetch, load, warm up."""

from __future__ import annotations

import os
import time

import numpy as np
import torch
import whisper

from openmic.audio.types import SAMPLE_RATE, Samples
from openmic.progress import ProgressCallback, silent
from openmic.settings import Settings
from openmic.speech.choice import choose_device, choose_weights
from openmic.speech.device_decoder import decoder_for, warm_up
from openmic.speech.encoder import WindowEncoder, tail_clip
from openmic.speech.engine import WhisperEngine
from openmic.speech.final import FinalModel, FinalPass
from openmic.speech.hypothesis import HypothesisDecoder, Request
from openmic.speech.precision import decoder_precision, encoder_precision, exact_precision
from openmic.speech.types import ModelInfo, SpeechOptions
from openmic.speech.vocabulary import Vocabulary


class _Clip:
    """A recording that is all there."""

    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    def read(self, start: int, stop: int) -> Samples:
        return self._samples[max(start, 0) : max(stop, 0)]


def load_engine(settings: Settings, progress: ProgressCallback = silent) -> WhisperEngine:
    """Load the model that ``settings`` ask for and start its engine, warmed up.

    Args:
        settings: model, device, cache and live settings are read.
        progress: told what takes long.

    Raises:
        OpenmicError: the weights or the device cannot be had (``weight_problems.py``).
    """
    device = torch.device(choose_device(settings.device))
    if device.type == "cpu":
        torch.set_num_threads(settings.cpu_threads or os.cpu_count() or 1)
    chosen = choose_weights(settings.model, str(device), settings.cache_dir, progress)
    progress(f"Model {chosen.choice.reason}", 1.0)
    name = chosen.choice.name
    loading = f"Loading {name} onto {device}"
    progress(loading, None)
    model = whisper.load_model(str(chosen.path), device=device).requires_grad_(False)
    heads = whisper._ALIGNMENT_HEADS.get(name)
    if heads is not None:
        model.set_alignment_heads(heads)
    vocabulary = Vocabulary(model)
    exact = decoder_for(model, exact_precision(device))
    same = decoder_precision(device) == exact_precision(device)
    quick = exact if same else decoder_for(model, decoder_precision(device))
    hypotheses = HypothesisDecoder(WindowEncoder(model, quick, encoder_precision(device)), quick, vocabulary)
    sketcher = None if quick is exact else quick
    final = FinalModel(name, model, exact, vocabulary, sketcher, settings.final_beam_size)
    progress(loading, 1.0)
    _warm_up(hypotheses, final, progress)
    if device.type == "cpu":
        torch.set_num_threads(settings.cpu_threads or os.cpu_count() or 1)  # numba has set its own number meanwhile
    info = ModelInfo(name, str(device), str(exact.dtype).removeprefix("torch."), vocabulary.multilingual)
    return WhisperEngine(info, hypotheses, final, settings.live_step_seconds, settings.live_window_seconds)


def _warm_up(hypotheses: HypothesisDecoder, final: FinalModel, progress: ProgressCallback) -> None:
    """Run both passes once: compiles what compiles, and shows a broken device before a speaker does."""
    warming = "Warming up"
    progress(warming, None)
    began = time.monotonic()
    warm_up(final.decoder)
    speech = np.pad(tail_clip(), (0, SAMPLE_RATE))
    hypotheses.step([Request(speech, 0.0, "en", "transcribe")])
    with torch.inference_mode():
        for _ in FinalPass(final, _Clip(speech), SpeechOptions(language="en"), ended=True).walk():
            pass
    progress(f"Warmed up in {time.monotonic() - began:.1f} s", 1.0)

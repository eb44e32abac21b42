"""From settings to a running engine: choose, fetch, load, warm up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import whisper
from torch.nn import ModuleList
from whisper.model import Whisper
from whisper.timing import dtw_cpu

from openmic.memory import release_freed_memory
from openmic.progress import ProgressCallback, silent
from openmic.settings import Settings
from openmic.speech.device import choose_device, free_memory, use
from openmic.speech.engine.calibration import (
    CPU_BATCHES,
    CPU_CLOCKS,
    GPU_BATCHES,
    GPU_CLOCKS,
    CalibrationInterrupted,
    Costs,
    describe_capacity,
    measure,
)
from openmic.speech.engine.thread import WhisperEngine
from openmic.speech.final.walk import FinalModel
from openmic.speech.gpu.select import decoder_for, warm_up
from openmic.speech.gpu.window_encoder import encoder_for
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.model.full_encoder import FullEncoder
from openmic.speech.model.linear import decoder_precision, encoder_precision, exact_precision
from openmic.speech.model.tokens import Vocabulary
from openmic.speech.threads import run_in_own_thread
from openmic.speech.types import ModelInfo
from openmic.speech.weights.selection import choose_weights


def load_engine(settings: Settings, progress: ProgressCallback = silent, measured_again: bool = True) -> WhisperEngine:
    """Load the model that ``settings`` ask for and start its engine, warmed up.

    Args:
        settings: model, device, cache and live settings are read.
        progress: told what takes long.
        measured_again: the engine measures again while nobody speaks (``measured.py``), on its own thread; False for
            who uses its parts on another one.

    Raises:
        OpenmicError: the weights or the device cannot be had (``weight_problems.py``).
    """
    free_memory()  # of an engine that was stopped: what fits is decided by what is free
    device = torch.device(choose_device(settings.device))
    if device.type == "cpu":
        torch.set_num_threads(settings.cpu_threads or os.cpu_count() or 1)
    chosen = choose_weights(settings.model, str(device), settings.cache_dir, progress)
    progress(f"Model {chosen.choice.reason}", 1.0)
    name = chosen.choice.name
    hypotheses, final, costs = run_in_own_thread(
        lambda tell: _load(name, chosen.path, device, settings, tell), progress
    )
    release_freed_memory()  # the weights file, openai-whisper's layers and what warming up needed leave holes

    def measure_again(nobody: Callable[[], bool]) -> Costs | None:
        try:
            return _measured(hypotheses, final, nobody=nobody)
        except CalibrationInterrupted:
            return None

    called = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    dtype = str(final.decoder.dtype).removeprefix("torch.")
    info = ModelInfo(name, str(device), dtype, final.vocabulary.multilingual, called)
    progress(f"About {describe_capacity(costs.capacity())} on this {called} ({name})", 1.0)
    return WhisperEngine(
        info,
        hypotheses,
        final,
        settings.live_step_seconds,
        settings.live_window_seconds,
        costs,
        measure_again if measured_again else None,
    )


def _load(
    name: str, path: Path, device: torch.device, settings: Settings, progress: ProgressCallback
) -> tuple[LiveStepDecoder, FinalModel, Costs]:
    """What the live pass and the final pass work with, warmed up, and what they cost."""
    use(device)
    loading = f"Loading {name} onto {device}"
    progress(loading, None)
    model = whisper.load_model(str(path), device=device).requires_grad_(False)
    heads = whisper._ALIGNMENT_HEADS.get(name)
    if heads is not None:
        model.set_alignment_heads(heads)
    vocabulary = Vocabulary(model)
    exact = decoder_for(model, exact_precision(device))
    same = decoder_precision(device) == exact_precision(device)
    quick = exact if same else decoder_for(model, decoder_precision(device))
    hypotheses = LiveStepDecoder(encoder_for(model, quick, encoder_precision(device)), quick, vocabulary)
    sketcher = None if quick is exact else quick
    encoder = FullEncoder(model, exact_precision(device))
    final = FinalModel(name, model, encoder, exact, vocabulary, sketcher, settings.final_beam_size)
    _let_go(model, settings.final_beam_size)
    progress(loading, 1.0)
    if device.type == "cpu":
        dtw_cpu(np.zeros((2, 2)))  # at its first work numba sets the number of threads, torch's too
        torch.set_num_threads(settings.cpu_threads or os.cpu_count() or 1)
    costs = _warm_up(hypotheses, final, progress)
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # the engine's thread works on a stream of its own
    return hypotheses, final, costs


def _let_go(model: Whisper, beam_size: int) -> None:
    """Free the layers' matrices: ours are laid out anew, and only beam search uses the decoder's as they came."""
    model.encoder.blocks = ModuleList()
    if beam_size == 1:
        model.decoder.blocks = ModuleList()


def _warm_up(hypotheses: LiveStepDecoder, final: FinalModel, progress: ProgressCallback) -> Costs:
    """Run both passes: compiles what compiles, shows a broken device before a speaker does, and measures."""
    warming = "Warming up and measuring how many can speak at once"
    progress(warming, None)
    began = time.monotonic()
    warm_up(final.decoder)
    costs = _measured(hypotheses, final, lambda done: progress(warming, done))
    progress(f"Warmed up in {time.monotonic() - began:.1f} s", 1.0)
    return costs


def _measured(
    hypotheses: LiveStepDecoder,
    final: FinalModel,
    progress: Callable[[float], None] = lambda done: None,
    nobody: Callable[[], bool] = lambda: True,
) -> Costs:
    on_cpu = final.model.device.type == "cpu"
    batches, clocks = (CPU_BATCHES, CPU_CLOCKS) if on_cpu else (GPU_BATCHES, GPU_CLOCKS)
    return measure(hypotheses, final, batches, progress, clocks, nobody, drafted=not on_cpu)

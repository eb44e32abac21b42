"""From settings to a running engine: choose, fetch, load, warm up."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import whisper
from torch.nn import Conv1d, Embedding, Linear, ModuleList
from whisper.model import Whisper
from whisper.timing import dtw_cpu

from openmic.memory import release_freed_memory
from openmic.progress import ProgressCallback, silent
from openmic.settings import Settings
from openmic.speech.device import DeviceLost, choose_device, computes, free_memory, use
from openmic.speech.engine.calibration import (
    CPU_BATCHES,
    CPU_CLOCKS,
    GPU_BATCHES,
    GPU_CLOCKS,
    CalibrationInterrupted,
    measure,
)
from openmic.speech.engine.costs import Costs, describe_capacity
from openmic.speech.engine.thread import EngineParts, WhisperEngine
from openmic.speech.final.walk import FinalModel
from openmic.speech.gpu.select import decoder_for, give_slots, is_batched, warm_up
from openmic.speech.gpu.select_encoder import encoder_for
from openmic.speech.languages import language_code
from openmic.speech.live.decode import LiveStepDecoder
from openmic.speech.model.full_encoder import FullEncoder
from openmic.speech.model.linear import decoder_precision, encoder_precision, exact_precision
from openmic.speech.model.tokens import Vocabulary
from openmic.speech.threads import run_in_own_thread
from openmic.speech.types import ModelInfo, SpeechOptions
from openmic.speech.weights.selection import choose_weights


def load_engine(settings: Settings, progress: ProgressCallback = silent) -> WhisperEngine:
    """Load the model that ``settings`` ask for and start its engine, warmed up; it measures again while it is idle.

    Args:
        settings: model, device, cache and live settings are read.
        progress: told what takes long.

    Raises:
        OpenmicError: the weights or the device cannot be had (``weights/problems.py``, ``DEVICE_PROBLEMS``).
    """
    parts, costs = load_parts(settings, progress)

    def recalibrate(still_idle: Callable[[], bool]) -> Costs | None:
        try:
            return _measured(parts, still_idle=still_idle)
        except CalibrationInterrupted:
            return None
        except RuntimeError as failure:
            if not computes(parts.final.decoder.device):
                raise DeviceLost from failure
            raise

    speakers = describe_capacity(costs.capacity())
    progress(f"About {speakers} on this {parts.info.device_name} ({parts.info.name})", 1.0)
    return WhisperEngine(parts, settings.live_step_seconds, settings.live_window_seconds, costs, recalibrate)


def load_parts(settings: Settings, progress: ProgressCallback = silent) -> tuple[EngineParts, Costs]:
    """Load the model that ``settings`` ask for, and warm it up.

    Args:
        settings: model, device and cache are read.
        progress: told what takes long.

    Returns:
        What an engine, or a benchmark without one, works with, and what it costs here.

    Raises:
        OpenmicError: as ``load_engine``.
    """
    language_code(settings.language)  # what nobody can know is told before weights are fetched
    free_memory()  # of an engine that was stopped: what fits is decided by what is free
    device = torch.device(choose_device(settings.device, progress))
    if device.type == "cpu":
        torch.set_num_threads(settings.cpu_threads or os.cpu_count() or 1)
    chosen = choose_weights(settings.model, str(device), settings.cache_dir, progress)
    progress(f"Model {chosen.choice.reason}", 1.0)
    name = chosen.choice.name
    loaded = run_in_own_thread(lambda tell: _load(name, chosen.path, device, settings, tell), progress)
    release_freed_memory()  # the weights file, openai-whisper's layers and what warming up needed leave holes
    return loaded


def _load(
    name: str, path: Path, device: torch.device, settings: Settings, progress: ProgressCallback
) -> tuple[EngineParts, Costs]:
    use(device)
    loading = f"Loading {name} onto {device}"
    progress(loading, None)
    model = load_whisper(name, path, device)
    vocabulary = Vocabulary(model, name)
    vocabulary.check(SpeechOptions(language_code(settings.language)))
    exact = decoder_for(model, exact_precision(device))
    same = decoder_precision(device) == exact_precision(device)
    quick = exact if same else decoder_for(model, decoder_precision(device))
    window_encoder = encoder_for(model, quick, encoder_precision(device))
    live = LiveStepDecoder(window_encoder, quick, vocabulary)
    sketcher = None if quick is exact else quick
    encoder = FullEncoder(model, exact_precision(device), window_encoder.layers if is_batched(exact) else None)
    final = FinalModel(name, model, encoder, exact, vocabulary, sketcher, settings.final_beam_size)
    _let_go(model, settings.final_beam_size)
    give_slots(exact, window_encoder)  # of the memory that is left now
    progress(loading, 1.0)
    if device.type == "cpu":
        dtw_cpu(np.zeros((2, 2)))  # at its first work numba sets the number of threads, torch's too
        torch.set_num_threads(settings.cpu_threads or os.cpu_count() or 1)
    title = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    dtype = str(exact.dtype).removeprefix("torch.")
    info = ModelInfo(name, str(device), dtype, vocabulary.languages, vocabulary.translates, title)
    parts = EngineParts(info, live, final)
    costs = _warm_up(parts, progress)
    if device.type == "cuda":
        torch.cuda.synchronize(device)  # the engine's thread works on a stream of its own
    return parts, costs


def load_whisper(name: str, path: Path, device: torch.device | str) -> Whisper:
    """openai-whisper's model with its alignment heads, which a checkpoint that is loaded by its path comes without.

    For a GPU its matrices are float16, as they are in Whisper's checkpoints, before they get there: in float32, and
    with the checkpoint beside them, they would take three times as much of its memory while slots are counted.
    """
    if torch.device(device).type == "cpu":
        model = whisper.load_model(str(path), device="cpu").requires_grad_(False)
    else:
        model = halved(whisper.load_model(str(path), device="cpu").requires_grad_(False)).to(device)
    heads = whisper._ALIGNMENT_HEADS.get(name)
    if heads is not None:
        model.set_alignment_heads(heads)
    return model


def halved(model: Whisper) -> Whisper:
    """The model with its matrices in float16; openai-whisper's norms, which compute in float32, stay as they are."""
    for module in model.modules():
        if isinstance(module, Linear | Conv1d | Embedding):
            module.half()
    return model


def _let_go(model: Whisper, beam_size: int) -> None:
    """Free the layers' matrices: ours are laid out again, and only beam search uses the decoder's as they came."""
    model.encoder.blocks = ModuleList()
    if beam_size == 1:
        model.decoder.blocks = ModuleList()


def _warm_up(parts: EngineParts, progress: ProgressCallback) -> Costs:
    """Run both passes: compiles what compiles, shows a broken device before a speaker does, and measures."""
    warming = "Warming up and measuring how many can speak at once"
    progress(warming, None)
    began = time.monotonic()
    warm_up(parts.final.decoder)
    costs = _measured(parts, lambda done: progress(warming, done))
    progress(f"Warmed up in {time.monotonic() - began:.1f} s", 1.0)
    return costs


def _measured(
    parts: EngineParts,
    progress: Callable[[float], None] = lambda done: None,
    still_idle: Callable[[], bool] = lambda: True,
) -> Costs:
    on_cpu = parts.final.model.device.type == "cpu"
    batches, clocks = (CPU_BATCHES, CPU_CLOCKS) if on_cpu else (GPU_BATCHES, GPU_CLOCKS)
    return measure(parts.live, parts.final, batches, progress, clocks, still_idle, drafted=not on_cpu)

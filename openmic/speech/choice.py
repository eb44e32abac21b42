"""Which device and which model: chosen by what the machine has, and said in one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from openmic.errors import OpenmicError
from openmic.progress import ProgressCallback, silent
from openmic.speech.package_index import PACKAGED_MODELS
from openmic.speech.weight_problems import WEIGHT_PROBLEMS
from openmic.speech.weights import locate

GIB = 1 << 30

# The first row whose free memory is there is taken: (GiB free, model). Each leaves room for the batches of several
# sessions beside the weights (float16 on a GPU: turbo 1.6 GB, small 0.5 GB; float32 on a CPU: base 0.3 GB).
GPU_MODELS = ((10.0, "turbo"), (4.0, "small"), (0.0, "base"))
CPU_MODELS = ((4.0, "base"), (0.0, "tiny"))
FALLBACK_MODEL = "base"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model's name, and in one line why it was taken."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ChosenWeights:
    """A choice whose weights are on this machine: ``whisper.load_model(str(path))`` takes them."""

    choice: ModelChoice
    path: Path


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """A device for people: torch's name for it, its maker's name, and its memory in bytes (free and in all)."""

    device: str
    title: str
    free_bytes: int
    total_bytes: int


def choose_device(setting: str) -> str:
    """Turn the ``device`` setting into a torch device.

    Args:
        setting: ``auto``, or a torch device such as ``cpu``, ``cuda``, ``cuda:1``.

    Returns:
        ``cpu``, or ``cuda:N``. ``auto`` takes the GPU with the most free memory, and the CPU where there is none.

    Raises:
        OpenmicError: ``unknown_device``: there is no such device on this machine.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if setting == "auto":
        if not count:
            return "cpu"
        return f"cuda:{max(range(count), key=lambda index: torch.cuda.mem_get_info(index)[0])}"
    try:
        device = torch.device(setting)
    except RuntimeError as error:
        raise WEIGHT_PROBLEMS.error("unknown_device", device=setting, detail="torch knows no such device") from error
    if device.type == "cpu":
        return "cpu"
    if device.type != "cuda":
        detail = "openmic runs on cpu and cuda alone"
    elif not count:
        detail = "torch finds no CUDA GPU on this machine"
    elif (device.index or 0) >= count:
        detail = f"this machine has {count} GPU{'s' if count > 1 else ''}, counted from 0"
    else:
        return f"cuda:{device.index or 0}"
    raise WEIGHT_PROBLEMS.error("unknown_device", device=setting, detail=detail)


def device_report(device: str) -> DeviceReport:
    """Look at a device that `choose_device` has returned."""
    if device == "cpu":
        memory = psutil.virtual_memory()
        cores = psutil.cpu_count() or 1
        return DeviceReport(device, f"CPU, {cores} core{'s' if cores > 1 else ''}", memory.available, memory.total)
    free_bytes, total_bytes = torch.cuda.mem_get_info(device)
    return DeviceReport(device, torch.cuda.get_device_name(device), free_bytes, total_bytes)


def choose_model(device: str) -> ModelChoice:
    """Choose a model for a device by the memory that is free on it now."""
    return model_for(device_report(device))


def model_for(report: DeviceReport) -> ModelChoice:
    """The rule behind `choose_model`: the largest model that leaves room for several sessions."""
    free_gib = report.free_bytes / GIB
    rows = CPU_MODELS if report.device == "cpu" else GPU_MODELS
    name = next(name for needed_gib, name in rows if free_gib >= needed_gib)
    return ModelChoice(name, f"{name}: chosen for {report.title} with {free_gib:.1f} GiB of memory free")


def choose_weights(model: str, device: str, cache_dir: Path, progress: ProgressCallback = silent) -> ChosenWeights:
    """Turn the ``model`` setting into weights on this machine.

    Args:
        model: ``auto``, a name, or the path of a ``.pt`` file.
        device: as from `choose_device`.
        cache_dir: where weights are kept.
        progress: told what takes long.

    Returns:
        The weights. Where ``auto`` chose a model that cannot be reached, those of `FALLBACK_MODEL`, with that said in
        the reason.

    Raises:
        OpenmicError: a code of `WEIGHT_PROBLEMS`.
    """
    if model != "auto":
        return ChosenWeights(ModelChoice(model, f"{model}: as asked for"), locate(model, cache_dir, progress))
    choice = choose_model(device)
    try:
        return ChosenWeights(choice, locate(choice.name, cache_dir, progress))
    except OpenmicError as error:
        if error.code != "weights_unreachable" or choice.name in PACKAGED_MODELS:
            raise
        path = locate(FALLBACK_MODEL, cache_dir, progress)
        reason = f"{FALLBACK_MODEL}: {choice.name} suits {device} better, but its weights cannot be reached from here"
        return ChosenWeights(ModelChoice(FALLBACK_MODEL, reason), path)

"""Which model: chosen by what the machine has, and said in one line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from openmic.errors import OpenmicError
from openmic.progress import ProgressCallback, silent
from openmic.speech.device import DeviceReport, device_report
from openmic.speech.weights.locate import locate
from openmic.speech.weights.package_index import PACKAGED_MODELS

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

"""The device: which one, what it has, and a GPU shared with the rest of the process."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import torch

from openmic.speech.problems import DEVICE_PROBLEMS

URGENT = -1  # priority of the engine's stream: live steps go before a notebook's other work


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
        raise DEVICE_PROBLEMS.error("unknown_device", device=setting, detail="torch knows no such device") from error
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
    raise DEVICE_PROBLEMS.error("unknown_device", device=setting, detail=detail)


def device_report(device: str) -> DeviceReport:
    """Look at a device that `choose_device` has returned."""
    if device == "cpu":
        memory = psutil.virtual_memory()
        cores = psutil.cpu_count() or 1
        return DeviceReport(device, f"CPU, {cores} core{'s' if cores > 1 else ''}", memory.available, memory.total)
    free_bytes, total_bytes = torch.cuda.mem_get_info(device)
    return DeviceReport(device, torch.cuda.get_device_name(device), free_bytes, total_bytes)


def use(device: torch.device) -> None:
    """Make ``device`` this thread's current one: kernels, streams and recordings that name none go there."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


@contextlib.contextmanager
def on_own_stream(device: torch.device) -> Iterator[None]:
    """This thread's work goes to ``device``, on a stream of its own: it does not queue behind other cells' work."""
    if device.type != "cuda":
        yield
        return
    use(device)
    stream = torch.cuda.Stream(device, priority=URGENT)  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.default_stream(device))
    with torch.cuda.stream(stream):
        yield
        stream.synchronize()


def free_memory() -> None:
    """Give the driver what nobody holds any more, so that the memory that is free is what it says."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        gc.collect()
        torch.cuda.empty_cache()

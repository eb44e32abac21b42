"""The device: which one, what it has, whether it computes, and a GPU shared with the rest of the process."""

from __future__ import annotations

import contextlib
import gc
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from openmic.progress import ProgressCallback, silent
from openmic.speech.problems import DEVICE_PROBLEMS

log = logging.getLogger(__name__)

URGENT = -1  # priority of the engine's stream: live steps go before a notebook's other work
CARDS = Path("/proc/driver/nvidia/gpus")  # the driver lists here what is plugged in, whether torch can use it or not


class DeviceLost(Exception):
    """The GPU computes nothing any more, for no thread of this process; only a new process can use it again."""


@dataclass(frozen=True, slots=True)
class DeviceReport:
    """A device for people: torch's name for it, its maker's name, and its memory in bytes (free and in all)."""

    device: str
    title: str
    free_bytes: int
    total_bytes: int


def choose_device(setting: str, progress: ProgressCallback = silent) -> str:
    """Turn the ``device`` setting into a torch device that computes.

    Args:
        setting: ``auto``, or a torch device such as ``cpu``, ``cuda``, ``cuda:1``.
        progress: told where ``auto`` passes over a GPU that this machine has.

    Returns:
        ``cpu``, or ``cuda:N``. ``auto`` takes the GPU with the most free memory that torch can compute on, and the CPU
        where there is none.

    Raises:
        OpenmicError: ``unknown_device``: there is no such device on this machine; ``unusable_gpu``: there is, and torch
            cannot compute on it.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if setting == "auto":
        return _best_device(count, progress)
    try:
        device = torch.device(setting)
    except RuntimeError as error:
        raise DEVICE_PROBLEMS.error("unknown_device", device=setting, detail="torch knows no such device") from error
    if device.type == "cpu":
        return "cpu"
    if device.type != "cuda":
        detail = "openmic runs on cpu and cuda alone"
    elif not count and _has_card():
        raise DEVICE_PROBLEMS.error("unusable_gpu", device=setting, detail=_why_torch_sees_none())
    elif not count:
        detail = "torch finds no CUDA GPU on this machine"
    elif (device.index or 0) >= count:
        detail = f"this machine has {count} GPU{'s' if count > 1 else ''}, counted from 0"
    else:
        found = f"cuda:{device.index or 0}"
        if problem := _why_not(found):
            raise DEVICE_PROBLEMS.error("unusable_gpu", device=found, detail=problem)
        return found
    raise DEVICE_PROBLEMS.error("unknown_device", device=setting, detail=detail)


def _best_device(count: int, progress: ProgressCallback) -> str:
    """The GPU of ``count`` with the most free memory that computes, or the CPU; what is passed over is told."""
    problems = [f"the GPU cannot be used: {_why_torch_sees_none()}"] if not count and _has_card() else []
    for index in sorted(range(count), key=lambda index: -torch.cuda.mem_get_info(index)[0]):
        if not (problem := _why_not(f"cuda:{index}")):
            return f"cuda:{index}"
        problems.append(f"cuda:{index} cannot be used: {problem}")
    for problem in problems:
        log.warning("%s", problem)
        progress(f"{problem[0].upper()}{problem[1:]}", 1.0)
    return "cpu"


def _why_not(device: str) -> str:
    """Why torch cannot compute on a GPU that it sees, in some words; "" where it can."""
    try:
        (torch.ones(1, dtype=torch.float16, device=device) * 2).item()
    except torch.OutOfMemoryError:
        return "its memory is full"
    except RuntimeError as error:
        major, minor = torch.cuda.get_device_capability(device)
        return (
            f"torch {torch.__version__} fails on {torch.cuda.get_device_name(device)} (sm_{major}{minor}; "
            f"it is built for {', '.join(torch.cuda.get_arch_list())}): {_first_line(error)}"
        )
    return ""


def _has_card() -> bool:
    return CARDS.is_dir() and any(CARDS.iterdir())


def _why_torch_sees_none() -> str:
    """Why torch has no GPU although there is one, as where the driver is older than what torch was built for."""
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (AssertionError, RuntimeError) as error:
        return f"torch {torch.__version__}: {_first_line(error)}"
    return f"torch {torch.__version__} finds none"


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


def computes(device: torch.device) -> bool:
    """Whether the device still computes.

    A kernel that fails, in whichever cell of the process, ends the process's work on that GPU for good.
    """
    if device.type != "cuda":
        return True
    try:
        torch.ones(1, device=device).add_(1).item()
    except torch.OutOfMemoryError:
        return True
    except RuntimeError:
        return False
    return True


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
        with contextlib.suppress(RuntimeError):  # of a GPU that is lost: whose work it was has been told
            stream.synchronize()


class DeviceQueue:
    """Work that a GPU was given by this thread and may not have done; a processor does all work at once."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._last: torch.cuda.Event | None = None

    def mark(self) -> None:
        """Wait for all work but what was given since the last mark: the device has something to do meanwhile."""
        if self._on_gpu:
            event = torch.cuda.Event()  # type: ignore[no-untyped-call]
            event.record()
            self.drain()
            self._last = event

    def drain(self) -> None:
        """Wait for all work up to the last mark."""
        if self._last is not None:
            self._last.synchronize()
            self._last = None


class DeviceMemory:
    """What memory a GPU has left, by its driver: graphs and other programs are counted, too."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def left_bytes(self) -> int:
        """Memory that nothing has taken, torch's own cache included in what is taken."""
        return int(torch.cuda.mem_get_info(self._device)[0])

    def needed_bytes(self, work: Callable[[], object]) -> int:
        """Do ``work``; returns the most memory that it took meanwhile, beyond what was taken before."""
        free_memory()
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_reserved(self._device)
        work()
        needed = torch.cuda.max_memory_reserved(self._device) - before
        free_memory()
        return int(needed)


def free_memory() -> None:
    """Give the driver what nobody holds any more, so that the memory that is free is what it says."""
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        gc.collect()
        with contextlib.suppress(RuntimeError):  # a GPU that is lost takes nothing back
            torch.cuda.empty_cache()

"""Which device, and a GPU that is shared; ``FakeCuda`` stands for torch's view of one, and notes what is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from openmic.errors import OpenmicError
from openmic.speech import device
from openmic.speech.device import DeviceQueue, choose_device, computes, free_memory, on_own_stream, use

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


class FakeCuda:
    """Notes calls in order."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def set_device(self, device: torch.device) -> None:
        self.calls.append(f"set {device}")

    def Stream(self, device: torch.device, priority: int) -> FakeCuda:  # noqa: N802 (torch's name)
        self.calls.append(f"stream on {device}, priority {priority}")
        return self

    def default_stream(self, device: torch.device) -> str:
        return f"default of {device}"

    def wait_stream(self, other: str) -> None:
        self.calls.append(f"wait for {other}")

    @contextlib.contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        self.calls.append("enter")
        yield
        self.calls.append("leave")

    def synchronize(self) -> None:
        self.calls.append("synchronize")


def test_work_goes_to_the_device_on_a_stream_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the process's default stream, a step waits behind another cell's training; on GPU 0, it is the wrong card."""
    cuda = FakeCuda()
    for name in ("set_device", "Stream", "default_stream", "stream"):
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
    with on_own_stream(torch.device("cuda:1")):
        cuda.calls.append("work")
    assert cuda.calls == [
        "set cuda:1",
        "stream on cuda:1, priority -1",
        "wait for default of cuda:1",
        "enter",
        "work",
        "synchronize",
        "leave",
    ]


def test_the_work_before_the_last_mark_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """One step of work is always queued, so that the device is not idle while the host starts the next."""
    calls: list[str] = []

    class Event:
        made = 0

        def __init__(self) -> None:
            Event.made += 1
            self.name = str(Event.made)

        def record(self) -> None:
            calls.append(f"record {self.name}")

        def synchronize(self) -> None:
            calls.append(f"wait for {self.name}")

    monkeypatch.setattr(torch.cuda, "Event", Event)
    queue = DeviceQueue(torch.device("cuda:0"))
    queue.drain()
    for _ in range(2):
        queue.mark()
    queue.drain()
    queue.drain()
    assert calls == ["record 1", "record 2", "wait for 1", "wait for 2"]
    DeviceQueue(torch.device("cpu")).mark()
    assert Event.made == 2


def test_a_processor_needs_none_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda()
    monkeypatch.setattr(torch.cuda, "set_device", cuda.set_device)
    use(torch.device("cpu"))
    with on_own_stream(torch.device("cpu")):
        free_memory()
    assert not cuda.calls


def test_cpu_can_always_be_asked_for() -> None:
    assert choose_device("cpu") == "cpu"


@without_gpu
@pytest.mark.parametrize("setting", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_refused(setting: str) -> None:
    with pytest.raises(OpenmicError, match="no CUDA GPU") as refusal:
        choose_device(setting)
    assert refusal.value.code == "unknown_device"


class Card:
    """Torch's view of GPUs of which some cannot compute, as where torch has no kernels for them."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, free_bytes: list[int], broken: set[int], error: Exception
    ) -> None:
        self.broken, self.error, self.ones = broken, error, torch.ones
        for name, value in {
            "is_available": lambda: True,
            "device_count": lambda: len(free_bytes),
            "mem_get_info": lambda index: (free_bytes[index], 1 << 34),
            "get_device_name": lambda device: "Tesla P100",
            "get_device_capability": lambda device: (6, 0),
            "get_arch_list": lambda: ["sm_75", "sm_90"],
        }.items():
            monkeypatch.setattr(torch.cuda, name, value)
        monkeypatch.setattr(torch, "ones", self.made)

    def made(self, *size: int, device: str | torch.device = "cpu", **options: Any) -> torch.Tensor:
        if torch.device(device).type == "cuda" and torch.device(device).index in self.broken:
            raise self.error
        return self.ones(*size, **options)


NO_KERNEL = RuntimeError("CUDA error: no kernel image is available for execution on the device\nCompile with ...")


def test_a_gpu_that_torch_has_no_kernels_for_is_refused_before_anybody_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    Card(monkeypatch, [1 << 33], {0}, NO_KERNEL)
    with pytest.raises(OpenmicError, match=r"Tesla P100 \(sm_60; it is built for sm_75, sm_90\)") as refusal:
        choose_device("cuda")
    assert refusal.value.code == "unusable_gpu"
    assert "no kernel image" in refusal.value.why


def test_auto_passes_over_gpus_that_do_not_compute_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    Card(monkeypatch, [1 << 33, 1 << 32, 1 << 31], {0}, NO_KERNEL)
    assert choose_device("auto", lambda what, done: told.append(what)) == "cuda:1"
    assert not told  # the service has a GPU
    Card(monkeypatch, [1 << 33, 1 << 32], {0, 1}, torch.OutOfMemoryError("CUDA out of memory"))
    assert choose_device("auto", lambda what, done: told.append(what)) == "cpu"
    assert told == [f"Cuda:{index} cannot be used: its memory is full" for index in (0, 1)]
    assert "cuda:0 cannot be used" in caplog.text


def test_a_driver_that_is_too_old_for_torch_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """torch then says that there is no GPU, and everything would silently run on the processor."""

    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old (found version 11040). Please update")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.setattr(device, "CARDS", tmp_path)
    assert choose_device("auto") == "cpu"
    assert not caplog.records  # there is no card
    (tmp_path / "0000:00:04.0").mkdir()
    told: list[str] = []
    assert choose_device("auto", lambda what, done: told.append(what)) == "cpu"
    assert "driver on your system is too old" in told[0]
    with pytest.raises(OpenmicError, match="too old") as refusal:
        choose_device("cuda")
    assert refusal.value.code == "unusable_gpu"


def test_a_device_is_lost_when_it_computes_nothing_and_not_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda:0")
    assert computes(torch.device("cpu"))
    Card(monkeypatch, [0], {0}, torch.OutOfMemoryError("CUDA out of memory"))
    assert computes(cuda)
    Card(monkeypatch, [0], {0}, RuntimeError("CUDA error: device-side assert triggered"))
    assert not computes(cuda)
    Card(monkeypatch, [0], set(), NO_KERNEL)
    assert computes(cuda)


def test_what_a_lost_device_still_refuses_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's thread must come to its end, and tell the streams that are left."""
    cuda = FakeCuda()

    def dead() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    for name in ("set_device", "Stream", "default_stream", "stream"):
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
    monkeypatch.setattr(cuda, "synchronize", dead)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", dead)
    with on_own_stream(torch.device("cuda:0")):
        free_memory()
    assert cuda.calls[-1] == "leave"


@pytest.mark.gpu
def test_gpus_are_counted() -> None:
    assert choose_device("cuda") == "cuda:0"
    assert choose_device("auto").startswith("cuda:")
    with pytest.raises(OpenmicError, match="counted from 0"):
        choose_device("cuda:99")


@pytest.mark.parametrize("setting", ["gpu", "", "meta"])
def test_a_device_that_makes_no_sense_is_refused(setting: str) -> None:
    with pytest.raises(OpenmicError) as refusal:
        choose_device(setting)
    assert refusal.value.code == "unknown_device"

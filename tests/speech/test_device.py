"""Which device, and a GPU that is shared; ``FakeCuda`` stands for torch's view of one, and notes what is asked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from openmic.errors import OpenmicError
from openmic.speech.device import choose_device, free_memory, on_own_stream, use

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

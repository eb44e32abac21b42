"""A GPU shared with the rest of the process: which one, on which stream, and giving memory back."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

import torch

URGENT = -1  # priority of the engine's stream: live steps go before a notebook's other work


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

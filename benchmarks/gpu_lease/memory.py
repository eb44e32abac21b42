"""Memory of the device: from stage to stage of loading, and whether what is stopped gives it back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil
import torch

from openmic.settings import Settings
from openmic.speech.load import load_engine


def memory(device: torch.device) -> dict[str, float]:
    """In MB: what the driver says is used, what torch has reserved, and what tensors take; else this process's."""
    if device.type != "cuda":
        return {"used_mb": psutil.Process().memory_info().rss / 1e6}
    free, total = torch.cuda.mem_get_info(device)
    return {
        "used_mb": (total - free) / 1e6,
        "reserved_mb": torch.cuda.memory_reserved(device) / 1e6,
        "most_reserved_mb": torch.cuda.max_memory_reserved(device) / 1e6,
        "allocated_mb": torch.cuda.memory_allocated(device) / 1e6,
    }


def started_again(device: torch.device, keep: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Start an engine, stop it while its owner still holds it, and start another: memory after each, in MB."""
    if device.type == "cuda":
        torch.zeros(1, device=device)
    found: dict[str, Any] = {"before": memory(device)}
    engines = []  # as a notebook's variables hold them
    for name in ("first", "second"):
        began = time.perf_counter()
        engine = load_engine(Settings(model="base", device=str(device)))
        engines.append(engine)
        entry = memory(device) | {"load_seconds": time.perf_counter() - began, "capacity": engine.capacity}
        found[f"{name} started"] = entry
        engine.close()
        found[f"{name} stopped"] = memory(device)
        keep(found)
    return found

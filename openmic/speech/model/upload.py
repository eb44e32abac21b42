"""Numbers from the host to the device without a wait."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def on_device(values: Sequence[int] | Sequence[Sequence[int]] | NDArray[np.int64], device: torch.device) -> Tensor:
    """``values`` as an int64 tensor on ``device``.

    On a GPU they go through memory that it can read by itself: a copy from anywhere else waits for all its work.
    """
    host = torch.from_numpy(np.asarray(values, dtype=np.int64))
    return host.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else host

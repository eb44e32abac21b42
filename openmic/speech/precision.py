"""Weights at the precision that the processor is quickest at.

Whisper's weights are float16; float32 loses nothing and is what openai-whisper uses on a CPU. For live text the
same matrices are also kept as bfloat16 (processors with the instruction read half the bytes and multiply twice as
fast) and, for the projection onto the vocabulary, as int8 (a quarter of the bytes, per-row scales).
Activations between layers stay float32 on a CPU and float16 on a GPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

Precision = Literal["float32", "bfloat16", "float16"]
LinearFunction = Callable[[Tensor], Tensor]
"""``y = x @ W.T + b`` for x of shape (rows, n_in); y has x's dtype."""


def live_precision(device: torch.device) -> Precision:
    """The precision for live text on ``device``: float16 on a GPU, bfloat16 where a CPU multiplies it, else float32."""
    if device.type == "cuda":
        return "float16"
    return "bfloat16" if "avx512_bf16" in _cpu_flags() else "float32"


def linear(weight: Tensor, bias: Tensor | None, precision: Precision) -> LinearFunction:
    """A linear layer with its weights packed once, shape of ``weight`` (n_out, n_in)."""
    if precision != "bfloat16":
        dtype = torch.float32 if precision == "float32" else torch.float16
        packed = weight.detach().to(dtype)
        offset = None if bias is None else bias.detach().to(dtype)
        return lambda x: F.linear(x, packed, offset)
    packed = weight.detach().to(torch.bfloat16).contiguous()
    offset = None if bias is None else bias.detach().to(torch.bfloat16)
    return lambda x: F.linear(x.to(torch.bfloat16), packed, offset).to(x.dtype)


def vocabulary(weight: Tensor, precision: Precision) -> LinearFunction:
    """The projection onto the vocabulary: int8 on a CPU whose live precision is reduced, else as ``linear``."""
    if precision != "bfloat16":
        return linear(weight, None, precision)
    floats = weight.detach().float()
    scales = floats.abs().amax(dim=1).clamp(min=1e-8) / 127.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # quantized tensors will go; releases after 2.13 are not allowed
        quantized = torch.quantize_per_channel(
            floats, scales.double(), torch.zeros(len(scales), dtype=torch.int64), 0, torch.qint8
        )
    packed = torch.ops.quantized.linear_prepack(quantized, None)
    return lambda x: cast(Tensor, torch.ops.quantized.linear_dynamic(x, packed, False))


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    return frozenset(next((line for line in text.splitlines() if line.startswith("flags")), "").split())

"""Weights at the precision that the processor is quickest at.

Whisper's weights are float16; float32 loses nothing and is what openai-whisper uses on a CPU. For live text the same
matrices are also kept smaller: as bfloat16 where the processor multiplies it, and the decoder's, which are read again
for every token, as int8 with a scale per row as well. int8 rounds the activations too, which costs words; so it serves
only the steps of a token or a few, and what they say is checked by the larger products of the next pass
(``live/decode.py``, ``final/walk.py``). Activations between layers stay float32, on a GPU float16.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn import LayerNorm

log = logging.getLogger(__name__)

Precision = Literal["float32", "bfloat16", "float16", "int8"]
LinearFunction = Callable[[Tensor], Tensor]
"""``y = x @ W.T + b`` for x of shape (rows, n_in); y has x's dtype."""

PACKED_FOR_ROWS = 1500  # an encoder window's; the layout hardly depends on it, and serves any number
FEW_ROWS = 8  # products of fewer rows are over before a second thread has woken up


def encoder_precision(device: torch.device) -> Precision:
    """The live encoder's precision on ``device``."""
    if device.type == "cuda":
        return "float16"
    return "bfloat16" if "avx512_bf16" in _cpu_flags() else "float32"


def decoder_precision(device: torch.device) -> Precision:
    """The live decoder's precision on ``device``."""
    if device.type == "cuda":
        return "float16"
    return "int8" if torch.backends.quantized.engine in ("x86", "fbgemm", "onednn") else "float32"


def exact_precision(device: torch.device) -> Precision:
    """The precision of final texts on ``device``: openai-whisper's own."""
    return "float16" if device.type == "cuda" else "float32"


def linear(weight: Tensor, bias: Tensor | None, precision: Precision, whole: bool = False) -> LinearFunction:
    """A linear layer with its weights packed once.

    Args:
        weight: shape (n_out, n_in).
        bias: shape (n_out,).
        precision: int8 is for few rows alone.
        whole: only for the 1500 rows of a whole window.
    """
    if precision == "int8":
        many = linear(weight, bias, encoder_precision(weight.device))
        try:
            few = _int8(weight.detach().float(), None if bias is None else bias.detach().float())
        except (AttributeError, NotImplementedError, RuntimeError) as failure:
            _say_without_int8(str(failure))
            few = linear(weight, bias, "float32")
        return lambda x: few(x) if len(x) < FEW_ROWS else many(x)
    dtype: torch.dtype = getattr(torch, precision)
    matrix, added = weight.detach().to(dtype).contiguous(), None if bias is None else bias.detach().to(dtype)
    product = partial(F.linear, weight=matrix, bias=added) if whole and _plain_for_many() else _product(matrix, added)
    if precision != "bfloat16":
        return product
    return lambda x: product(x.to(torch.bfloat16)).to(x.dtype)


def norm(layer: LayerNorm, precision: Precision) -> LinearFunction:
    """A layer norm at ``precision``.

    openai-whisper's turns its input into float32 and back: for a GPU two kernels more, for what the one between them
    does anyway, which adds up half-precision numbers in float32. The weights are float16 in Whisper's checkpoints.
    """
    if precision != "float16":
        return cast(LinearFunction, layer)
    weight, bias = layer.weight.detach().half(), layer.bias.detach().half()
    shape, eps = list(layer.normalized_shape), layer.eps
    return lambda x: F.layer_norm(x, shape, weight, bias, eps)


@contextmanager
def threads_for(rows: int) -> Iterator[None]:
    """One thread for products of few rows, as many as before for others.

    A token's pass through the decoder is some fifty small products. Where they are shared out, each waits for its
    slowest part, and on a machine that does other work as well that is a time slice of the scheduler, not microseconds.
    """
    before = torch.get_num_threads()
    if rows >= FEW_ROWS or before == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _product(weight: Tensor, bias: Tensor | None) -> LinearFunction:
    """``y = x @ W.T + b`` in the dtype of ``weight``, on a processor with the weights laid out for it once.

    oneDNN's own layout saves arranging them again at every product: for the few tokens of a decoder's pass that is most
    of the work. Torch's compiler uses it too, through the same two operators; where they are missing, the plain
    product does.
    """
    if weight.device.type == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        try:
            packed = torch.ops.mkldnn._reorder_linear_weight(weight, PACKED_FOR_ROWS)
            product = partial(_onednn, packed, bias)
            product(weight[:1])
            return product
        except (AttributeError, RuntimeError) as failure:
            log.debug("weights are not laid out for oneDNN: %s", failure)
    return lambda x: F.linear(x, weight, bias)


def _onednn(packed: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    return cast(Tensor, torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], ""))


def _plain_for_many() -> bool:
    """Whether torch's plain product is the quicker one for many rows: with AVX-512 oneDNN's is."""
    return "avx512f" not in _cpu_flags()


def _int8(weight: Tensor, bias: Tensor | None) -> LinearFunction:
    scales = weight.abs().amax(dim=1).clamp(min=1e-8) / _largest_int8()
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*quantize_per_channel.*deprecated")  # see ``linear``
        quantized = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(quantized, bias)
    return lambda x: cast(Tensor, torch.ops.quantized.linear_dynamic(x, packed, False))


@cache
def _say_without_int8(failure: str) -> None:
    """Once for all matrices of a model."""
    log.warning("torch %s has no int8 products; live steps use float32 and take longer: %s", torch.__version__, failure)


def _largest_int8() -> int:
    """The largest weight in int8 with which no sum overflows on this processor.

    Without AVX-512's VNNI, two products of an activation (up to 255) and a weight are added up in 16 bits, and what
    does not fit is cut off. Half the range for the weights leaves room: 2 * 255 * 64 < 2**15. They bear it better than
    the activations: a row of weights has a scale of its own, all activations share one and reach far.
    """
    return 127 if "avx512_vnni" in _cpu_flags() else 64


def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    return frozenset(next((line for line in text.splitlines() if line.startswith("flags")), "").split())

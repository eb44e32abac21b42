"""Attention by one kernel that is named: no switch is turned that other threads of the process see.

``torch.nn.attention.sdpa_kernel`` chooses kernels for the whole process: two threads that overlap restore each other's
choice, and a notebook's other cells compute with ours. cuDNN's kernel, which torch prefers on newer cards, plans anew
for every shape; the one that takes a mask on every card is called here by its own name.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

ALIGNED = 8  # numbers of a mask's row that the kernel reads at once


def attended(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
    """Attention of ``queries`` to ``keys`` and ``values``.

    Args:
        queries: shape (rows, heads, tokens, width); the result has this shape too.
        keys: shape (rows, heads, places, width).
        values: of the same shape.
        mask: added to the scores, of their dtype, or which of them count; shape (rows, 1, tokens or 1, places), or
            (tokens, places).
    """
    if not queries.is_cuda:
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
    if mask is not None:
        places = mask.shape[-1]
        if mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=queries.dtype).masked_fill(~mask, -torch.inf)
        if places % ALIGNED:
            mask = F.pad(mask, (0, -places % ALIGNED))[..., :places]
        mask = mask.expand(*queries.shape[:3], places)
    efficient = torch.ops.aten._scaled_dot_product_efficient_attention
    return cast(Tensor, efficient(queries, keys, values, mask, False)[0])

"""Where the tokens of many rows were heard, worked out for all rows and heads together.

One row at a time (``Decoder.token_attention``) that is some three hundred operations, which cost a GPU more than the
model's own step; so rows in slots go through them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray

from openmic.speech.gpu.kv_slots import KVSlotPool, SlotRow, finite_
from openmic.speech.model.alignment import LEAST_DEVIATION, MIDDLE, median_between
from openmic.speech.model.decoder import TokenSpan
from openmic.speech.model.upload import on_device

if TYPE_CHECKING:
    from openmic.speech.gpu.decoder import BatchedDecoder

MOST_WEIGHTS = 1 << 24  # of attention in one pass, padding included; the filter holds a dozen float32 for each


def spans_of_a_pass(spans: Sequence[TokenSpan], heads: int) -> int:
    """How many of ``spans`` go through together, for ``heads`` alignment heads in all."""
    weights = heads * max(span.count for span in spans) * max(span.states for span in spans)
    return max(1, MOST_WEIGHTS // weights)


def token_attention(decoder: BatchedDecoder, pool: KVSlotPool, spans: Sequence[TokenSpan]) -> list[NDArray[np.float64]]:
    """``Decoder.token_attention`` for rows of one pool. Padding behind a row's tokens and states counts for nothing."""
    width, states = max(span.count for span in spans), max(span.states for span in spans)
    slots, first, count, own = on_device(
        [[cast(SlotRow, span.row).slot, span.first, span.count, span.states] for span in spans], decoder.device
    ).T
    aligned, layers, heads = decoder.aligned_heads
    along = decoder.along[:states]
    places = (first[:, None] + decoder.along[:width]).clamp(max=pool.padding)
    queries = finite_(pool.queries[aligned[:, None, None], slots[:, None], places, heads[:, None, None]])
    keys = pool.cross_keys[:, :, :states][layers[:, None], slots, :, heads[:, None]]
    scores = queries.float() @ keys.float().transpose(-1, -2) * decoder.head_width**-0.5
    scores.masked_fill_((along >= own[:, None])[:, None], -torch.inf)
    attention = scores.softmax(dim=-1)
    inside = (decoder.along[:width] < count[:, None])[..., None]
    number = count[:, None, None]
    mean = (attention * inside).sum(dim=-2, keepdim=True) / number
    distance = attention - mean
    deviation = ((distance.square() * inside).sum(dim=-2, keepdim=True) / number).sqrt()
    normed = distance / deviation.clamp(min=LEAST_DEVIATION)
    reach = torch.arange(-MIDDLE, states + MIDDLE, device=decoder.device).abs()
    last = own[:, None] - 1
    mirrored = (last - (last - reach).abs()).clamp(min=0)  # at each row's own end, as the filter reflects
    padded = normed.gather(-1, mirrored[:, None].expand(*normed.shape[:-1], -1))
    smooth: NDArray[np.float64] = median_between(padded).mean(dim=0).double().cpu().numpy()
    return [row[: span.count, : span.states] for row, span in zip(smooth, spans, strict=True)]

"""How the tokens of many rows were heard: smoothed attention, worked out for all rows and heads together on a GPU.

Word times come from the attention of the alignment heads, as in openai-whisper's ``timing.py``: normalized over the
tokens, smoothed along the audio by a median filter, and averaged over the heads. One row at a time that is some three
hundred operations, which cost a GPU more than the model's own step; so rows in slots go through them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from openmic.speech.batched import BatchedDecoder
from openmic.speech.decoder import Decoder, Row
from openmic.speech.median import MIDDLE, median_between, median_filtered
from openmic.speech.slots import SlotPool, SlotRow

MOST_WEIGHTS = 1 << 26  # of attention in one pass, padding included: bounds the memory
LEAST_DEVIATION = 1e-6


@dataclass(frozen=True, slots=True)
class Span:
    """Tokens of a row whose attention is wanted.

    Attributes:
        row: that was fed with them.
        first: place of the first one; attention is normalized over all of them.
        count: how many.
        frames: encoder states of the window's own audio, more than three.
    """

    row: Row
    first: int
    count: int
    frames: int


def heard(decoder: Decoder, spans: Sequence[Span]) -> list[NDArray[np.float64]]:
    """Where the tokens of each span were heard: higher is likelier, shape (count, frames)."""
    found: dict[int, NDArray[np.float64]] = {}
    groups: dict[int, list[int]] = {}
    for place, span in enumerate(spans):
        if isinstance(decoder, BatchedDecoder) and isinstance(span.row, SlotRow):
            groups.setdefault(decoder.pools.index(span.row.pool), []).append(place)
        else:
            found[place] = _alone(decoder, span)
    for pool, places in groups.items():
        batched = cast(BatchedDecoder, decoder)
        heads = sum(map(len, decoder.alignment_heads.values()))
        weights = heads * max(spans[i].count for i in places) * max(spans[i].frames for i in places)
        most = max(1, MOST_WEIGHTS // weights)
        for first in range(0, len(places), most):
            part = places[first : first + most]
            found.update(zip(part, _together(batched, batched.pools[pool], [spans[i] for i in part]), strict=True))
    return [found[place] for place in range(len(spans))]


def _alone(decoder: Decoder, span: Span) -> NDArray[np.float64]:
    attention = decoder.attention(span.row, span.first, span.frames)[:, : span.count]
    deviation, mean = torch.std_mean(attention, dim=-2, keepdim=True, unbiased=False)
    return _numbers(median_filtered((attention - mean) / (deviation + LEAST_DEVIATION)).mean(dim=0))


def _together(decoder: BatchedDecoder, pool: SlotPool, spans: Sequence[Span]) -> list[NDArray[np.float64]]:
    """The same for rows of one pool; padding behind each row's tokens and frames counts for nothing."""
    width, frames = max(span.count for span in spans), max(span.frames for span in spans)
    slots, first, count, own = torch.tensor(
        [(cast(SlotRow, span.row).slot, span.first, span.count, span.frames) for span in spans], device=decoder.device
    ).T
    aligned, layers, heads = decoder.aligned_heads
    places = (first[:, None] + torch.arange(width, device=decoder.device)).clamp(max=pool.padding)
    queries = pool.queries[aligned[:, None, None], slots[:, None], places, heads[:, None, None]]
    keys = pool.cross_keys[:, :, :frames][layers[:, None], slots, :, heads[:, None]]
    scores = queries.float() @ keys.float().transpose(-1, -2) * decoder.head_width**-0.5
    along = torch.arange(frames, device=decoder.device)
    scores.masked_fill_((along >= own[:, None])[:, None], -torch.inf)
    attention = scores.softmax(dim=-1)
    inside = (torch.arange(width, device=decoder.device) < count[:, None])[..., None]
    number = count[:, None, None]
    mean = (attention * inside).sum(dim=-2, keepdim=True) / number
    apart = attention - mean
    deviation = ((apart.square() * inside).sum(dim=-2, keepdim=True) / number).sqrt()
    normed = apart / (deviation + LEAST_DEVIATION)
    reach = torch.arange(-MIDDLE, frames + MIDDLE, device=decoder.device).abs()
    last = own[:, None] - 1
    mirrored = (last - (last - reach).abs()).clamp(min=0)  # at each row's own end, as the filter reflects
    padded = normed.gather(-1, mirrored[:, None].expand(*normed.shape[:-1], -1))
    smooth = _numbers(median_between(padded).mean(dim=0))
    return [row[: span.count, : span.frames] for row, span in zip(smooth, spans, strict=True)]


def _numbers(x: Tensor) -> NDArray[np.float64]:
    found: NDArray[np.float64] = x.double().cpu().numpy()
    return found

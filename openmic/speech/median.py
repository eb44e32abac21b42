"""The median filter of openai-whisper's ``timing.py``, without its sort.

Word times come from attention that is smoothed along the audio. Sorting the seven neighbours of each of a million
places takes a hundred megabytes that are fetched from the system and given back. Comparing neighbours, one attention
head after another, stays in the processor's cache.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

WIDTH = 7  # as openai-whisper's find_alignment
MIDDLE = WIDTH // 2


def median_filtered(x: Tensor) -> Tensor:
    """Each place's median with its three neighbours on either side, reflected at the ends.

    Args:
        x: shape (heads, tokens, places); with three places or fewer it comes back as it is.
    """
    if x.shape[-1] <= MIDDLE:
        return x
    return torch.stack([_of_one_head(head) for head in x])


def _of_one_head(x: Tensor) -> Tensor:
    return median_between(F.pad(x, (MIDDLE, MIDDLE), mode="reflect"))


def median_between(padded: Tensor) -> Tensor:
    """Each place's median with its three neighbours on either side, which are all there; shape (..., places + 6)."""
    places = padded.shape[-1] - 2 * MIDDLE
    values = [padded[..., first : first + places] for first in range(WIDTH)]
    for last in range(WIDTH - 1, MIDDLE - 1, -1):  # the largest that is left rises to its place, down to the middle
        for place in range(last):
            low, high = values[place : place + 2]
            values[place], values[place + 1] = torch.minimum(low, high), torch.maximum(low, high)
    return values[MIDDLE]

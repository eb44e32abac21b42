"""Tokens to times, as openai-whisper's ``timing.py`` finds them; its median filter without the sort.

Word times come from the attention of the alignment heads: normalized over the tokens, smoothed along the audio by a
median filter, averaged over the heads, and followed by dynamic time warping. Sorting the seven neighbours of each of a
million places takes a hundred megabytes that are fetched from the system and given back. Comparing neighbours, one
attention head after another, stays in the processor's cache.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from whisper.timing import dtw_cpu

WIDTH = 7  # as openai-whisper's find_alignment
MIDDLE = WIDTH // 2
LEAST_DEVIATION = 1e-6  # of an attention over the tokens; below, it says nothing


def smoothed(attention: Tensor) -> NDArray[np.float64]:
    """Where each token was heard: higher is likelier.

    Args:
        attention: probabilities, shape (alignment heads, tokens, states).

    Returns:
        Shape (tokens, states), on the host.
    """
    deviation, mean = torch.std_mean(attention, dim=-2, keepdim=True, unbiased=False)
    matrix = median_filtered((attention - mean) / deviation.clamp(min=LEAST_DEVIATION)).mean(dim=0)
    found: NDArray[np.float64] = matrix.double().cpu().numpy()
    return found


def first_states(matrix: NDArray[np.float64]) -> NDArray[np.int64]:
    """The encoder state at which each token begins: dynamic time warping over ``smoothed``; rising, shape (tokens,)."""
    tokens, states = dtw_cpu(-matrix)
    begins = np.pad(np.diff(tokens), (1, 0), constant_values=1).astype(bool)
    found: NDArray[np.int64] = states[begins]
    return found


def median_filtered(x: Tensor) -> Tensor:
    """Each place's median with its three neighbours on either side, reflected at the ends.

    Args:
        x: shape (heads, tokens, places); with three places or fewer it comes back as it is.
    """
    if x.shape[-1] <= MIDDLE:
        return x
    if x.device.type != "cpu":  # there each operation is a launch, and no cache to stay in
        return _reflected_median(x)
    return torch.stack([_reflected_median(head) for head in x])


def _reflected_median(x: Tensor) -> Tensor:
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

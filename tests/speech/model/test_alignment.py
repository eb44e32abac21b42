"""The median filter gives what openai-whisper's gives."""

from __future__ import annotations

import pytest
import torch
from whisper.timing import median_filter

from openmic.speech.model.alignment import WIDTH, median_filtered


@pytest.mark.parametrize("shape", [(6, 40, 1500), (1, 1, 4), (2, 3, 7), (8, 5, 3), (2, 1, 8)])
def test_the_same_as_whispers(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(sum(shape))
    for x in (torch.randn(shape, generator=generator), torch.randint(0, 3, shape, generator=generator).float()):
        assert torch.equal(median_filtered(x), median_filter(x.clone(), WIDTH))

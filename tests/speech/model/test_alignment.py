"""The median filter gives what openai-whisper's gives."""

from __future__ import annotations

import pytest
import torch
import whisper.timing

from openmic.speech.final import word_times as alignment
from openmic.speech.model.alignment import WIDTH, median_filtered


@pytest.mark.parametrize("shape", [(6, 40, 1500), (1, 1, 4), (2, 3, 7), (8, 5, 3), (2, 1, 8)])
def test_the_same_as_whispers(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(sum(shape))
    for x in (torch.randn(shape, generator=generator), torch.randint(0, 3, shape, generator=generator).float()):
        assert torch.equal(median_filtered(x), alignment._WHISPERS_FILTER(x.clone(), WIDTH))


def test_whispers_own_word_times_use_it() -> None:
    """``reference_word_times`` runs openai-whisper's code, which finds the filter in its module."""
    original = alignment._WHISPERS_FILTER
    assert whisper.timing.median_filter is not original
    generator = torch.Generator().manual_seed(1)
    for shape, width in (((6, 20, 300), WIDTH), ((6, 20, 300), 3), ((2, 6, 20, 30), WIDTH)):
        x = torch.randn(shape, generator=generator)
        assert torch.equal(whisper.timing.median_filter(x.clone(), width), original(x.clone(), width))

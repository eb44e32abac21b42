"""Attention by its own kernel: no switch of the whole process is turned, and the numbers are torch's."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from openmic.speech.gpu import decoder as batched
from openmic.speech.gpu.decoder import BatchedDecoder
from openmic.speech.model import decoder as ragged
from openmic.speech.model.attention import attended
from openmic.speech.model.decoder import CrossAttentionKV, Decoder
from tests.support.operations import Operations


def batch(places: int, device: str, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(places)
    queries, keys, values = (torch.randn(3, 8, n, 64, generator=generator) for n in (5, places, places))
    mask = torch.zeros(3, 1, 1, places)
    mask[1, ..., places // 2 :] = -torch.inf
    return tuple(t.to(device, dtype) for t in (queries, keys, values, mask))  # type: ignore[return-value]


def switches() -> tuple[bool, bool, bool, bool]:
    cuda = torch.backends.cuda
    return (
        cuda.flash_sdp_enabled(),
        cuda.mem_efficient_sdp_enabled(),
        cuda.math_sdp_enabled(),
        cuda.cudnn_sdp_enabled(),
    )


def test_it_is_torchs_attention() -> None:
    given = batch(40, "cpu", torch.float32)
    assert torch.equal(attended(*given), F.scaled_dot_product_attention(*given[:3], attn_mask=given[3]))


def test_a_step_turns_no_switch_that_other_threads_see(base_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def noted(*given: Tensor) -> Tensor:
        seen.append(switches())
        return attended(*given)

    before = switches()
    monkeypatch.setattr(batched, "attended", noted)
    decoder = BatchedDecoder(base_model, "float32", (1, 0))
    cross = CrossAttentionKV(*([torch.zeros(8, 30, 64) for _ in range(6)] for _ in range(2)))
    with torch.inference_mode():
        decoder.forward([decoder.row(cross)], [[1, 2]])
    assert set(seen) == {before}


def test_ragged_rows_name_their_kernel_too(base_model: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of their attentions; cuDNN's, which torch would take on some cards, plans anew for each length."""
    masks: list[Tensor | None] = []

    def noted(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        masks.append(mask)
        return attended(queries, keys, values, mask)

    monkeypatch.setattr(ragged, "attended", noted)
    decoder = Decoder(base_model, "float32")
    cross = CrossAttentionKV(*([torch.zeros(8, 30, 64) for _ in range(6)] for _ in range(2)))
    with torch.inference_mode(), Operations() as done:
        decoder.forward([decoder.row(cross), decoder.row(cross)], [[1, 2], [3]])
    assert len(masks) == 2 * 2 * 6
    assert sum(count for name, count in done.done.items() if "attention" in name) == len(masks)
    assert [mask.shape for mask in masks if mask is not None] == [(2, 2)] * 6


@pytest.mark.gpu
@pytest.mark.parametrize("places", [64, 830, 1500])
def test_on_a_gpu_it_takes_any_mask_and_none(places: int) -> None:
    queries, keys, values, added = batch(places, "cuda", torch.float16)
    for mask in (None, added, added == 0, torch.ones(5, places, dtype=torch.bool, device="cuda").tril(places - 5)):
        query, key, value = (tensor.cpu().float() for tensor in (queries, keys, values))
        on_host = None if mask is None else mask.cpu() if mask.dtype == torch.bool else mask.cpu().float()
        exact = F.scaled_dot_product_attention(query, key, value, attn_mask=on_host)
        assert torch.allclose(attended(queries, keys, values, mask).cpu().float(), exact, atol=5e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("places", [64, 832, 1500])
def test_on_a_gpu_it_is_the_same_whatever_kernels_others_choose(places: int) -> None:
    given = batch(places, "cuda", torch.float16)
    query, key, value, mask = (tensor.cpu().float() for tensor in given)
    exact = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        found = attended(*given)
    assert torch.allclose(found.cpu().float(), exact, atol=5e-3)

"""Matrices at the precisions that are used, laid out for quick products and not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from openmic.speech.model import linear as precision
from openmic.speech.model.linear import Precision, linear


def matrix(biased: bool) -> tuple[torch.Tensor, torch.Tensor | None]:
    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(48, 32, generator=generator) / 6
    return weight, torch.randn(48, generator=generator) if biased else None


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize(("name", "wrong"), [("float32", 1e-5), ("bfloat16", 0.05), ("int8", 0.1)])
def test_products_are_right_whatever_the_number_of_rows(name: Precision, wrong: float, biased: bool) -> None:
    weight, bias = matrix(biased)
    product = linear(weight, bias, name)
    for rows in (1, 7, 8, 33, 1500):
        x = torch.randn(rows, 32, generator=torch.Generator().manual_seed(rows))
        y = product(x)
        assert (y.dtype, y.shape) == (torch.float32, (rows, 48))
        assert torch.allclose(y, F.linear(x, weight, bias), atol=wrong)


def test_the_largest_sums_of_int8_are_not_cut_off() -> None:
    """All weights and activations at the end of their range, where a processor may add up too many for its bits."""
    weight = torch.ones(48, 32)
    weight[::2] = -1
    for rows in (1, 7):
        x = torch.ones(rows, 32)
        assert torch.allclose(linear(weight, None, "int8")(x), F.linear(x, weight), rtol=0.02)


@pytest.mark.parametrize(
    ("flags", "largest"), [({"avx2", "avx512_vnni"}, 127), ({"avx2", "avx_vnni"}, 64), (set(), 64)]
)
def test_weights_use_as_much_of_int8_as_the_processor_adds_up(
    flags: set[str], largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_cpu_flags", lambda: frozenset(flags))
    assert precision._largest_int8() == largest


def test_windows_of_a_batch_are_multiplied_too() -> None:
    weight, bias = matrix(True)
    x = torch.randn(3, 5, 32, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(linear(weight, bias, "float32")(x), F.linear(x, weight, bias), atol=1e-5)


def test_without_the_operators_the_plain_product_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, bias = matrix(True)
    x = torch.randn(4, 32, generator=torch.Generator().manual_seed(1))
    laid_out = linear(weight, bias, "float32")

    def missing(*_: object) -> torch.Tensor:
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(precision, "_onednn", missing)
    plain = linear(weight, bias, "float32")
    assert torch.equal(plain(x), F.linear(x, weight, bias))
    assert torch.allclose(plain(x), laid_out(x), atol=1e-5)


def test_weights_are_laid_out_where_torch_can() -> None:
    """A release of torch that names the operators differently should be noticed, not only be slower."""
    product = precision._product(*matrix(True))
    known = torch.backends.mkldnn.is_available()
    assert (getattr(product, "func", None) is precision._onednn) == known


@pytest.mark.parametrize(("flags", "laid_out"), [({"avx2", "avx512f"}, True), ({"avx2"}, False)])
def test_whole_windows_get_the_product_that_is_quicker_for_them(
    flags: set[str], laid_out: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "_cpu_flags", lambda: frozenset(flags))
    weight, bias = matrix(True)
    product = linear(weight, bias, "float32", whole=True)
    known = torch.backends.mkldnn.is_available()
    assert (getattr(product, "func", None) is precision._onednn) == (laid_out and known)
    x = torch.randn(1500, 32, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(product(x), F.linear(x, weight, bias), atol=1e-5)


@pytest.mark.parametrize("failure", [AttributeError("no such function"), RuntimeError("no such engine")])
def test_a_torch_without_int8_computes_in_float32_and_says_so(
    failure: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """torch means to drop quantized tensors."""

    def gone(*arguments: object) -> None:
        raise failure

    monkeypatch.setattr(torch, "quantize_per_channel", gone)
    precision._say_without_int8.cache_clear()
    weight, x = torch.randn(64, 48), torch.randn(3, 48)
    for _ in range(2):
        product = linear(weight, None, "int8")
    assert torch.allclose(product(x), x @ weight.T, atol=1e-5)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(failure) in caplog.text

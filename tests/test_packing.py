"""Packed layers compute the same, and gradients where they are asked for."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.toy import tiny_model
from translator.model import Transformer
from translator.packing import SMALL, PackedLinear, packed

SOURCE, TARGET = torch.randint(4, 30, (3, 7)), torch.randint(4, 24, (3, 5))


def packed_model(dtype: torch.dtype) -> Transformer:
    model = packed(tiny_model(), dtype)
    assert not any(type(m) is nn.Linear for m in model.modules())
    return model


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.1)])
@torch.inference_mode()
def test_the_same_scores(dtype: torch.dtype, tolerance: float) -> None:
    plain, model = tiny_model(), packed_model(dtype)
    for rows in (1, 3):
        actual, expected = (m(SOURCE[:rows], TARGET[:rows]) for m in (model, plain))
        torch.testing.assert_close(actual, expected, atol=tolerance, rtol=tolerance)
        assert actual.dtype == torch.float32


def test_gradients_and_weights_are_those_of_the_plain_model() -> None:
    plain, model = tiny_model(), packed_model(torch.bfloat16)
    for m in (plain, model):
        m(SOURCE, TARGET).sum().backward()
    assert plain.state_dict().keys() == model.state_dict().keys()
    for a, b in zip(plain.parameters(), model.parameters(), strict=True):
        assert torch.equal(a, b) and a.grad is not None and b.grad is not None
        torch.testing.assert_close(a.grad, b.grad)


@torch.inference_mode()
def test_bfloat16_rounds_what_is_not_small() -> None:
    linear = nn.Linear(64, 256)
    rows = SMALL // linear.weight.numel()
    for count, exact in ((1, True), (rows, True), (rows + 1, False)):
        x = torch.randn(count, 64)
        actual, expected = PackedLinear(linear, torch.bfloat16)(x), linear(x)
        assert torch.allclose(actual, expected, atol=1e-5) == exact
        torch.testing.assert_close(actual, expected, atol=0.05, rtol=0.05)


@torch.inference_mode()
def test_no_bias() -> None:
    linear = nn.Linear(48, 16, bias=False)
    x = torch.randn(1, 1, 48)
    torch.testing.assert_close(PackedLinear(linear, torch.float32)(x), linear(x))
    torch.testing.assert_close(PackedLinear(linear, torch.bfloat16)(x), linear(x), atol=0.05, rtol=0.05)


def test_the_model_that_was_packed_stays_as_it_was() -> None:
    plain = tiny_model()
    model = packed(plain)
    assert any(type(m) is nn.Linear for m in plain.modules())
    for a, b in zip(plain.parameters(), model.parameters(), strict=True):
        assert a is b  # one copy in memory

"""The loss is torch's cross-entropy, however it is computed."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from translator.loss import VocabularyLoss, r_drop_loss, translation_loss
from translator.tokenizer import PAD


@given(st.integers(1, 4), st.integers(1, 5), st.floats(0, 0.9), st.integers(1, 30), st.integers(0, 99))
def test_the_loss_is_label_smoothed_cross_entropy_without_padding(
    batch: int, length: int, smoothing: float, chunk: int, seed: int
) -> None:
    """Value and gradients, however many positions are scored at a time."""
    torch.manual_seed(seed)
    states = torch.randn(batch, length, 6, requires_grad=True)
    weight = torch.randn(9, 6, requires_grad=True)
    target = torch.randint(0, 9, (batch, length))
    target[0, 0] = 5
    logits = (states @ weight.t()).flatten(0, 1)
    expected = F.cross_entropy(logits, target.flatten(), ignore_index=PAD, label_smoothing=smoothing)
    with mock.patch.object(VocabularyLoss, "CHUNK", chunk):
        actual = translation_loss(states, weight, target, smoothing)
        with torch.no_grad():
            assert torch.equal(translation_loss(states, weight, target, smoothing), actual)
    assert actual.item() == pytest.approx(expected.item(), rel=1e-6, abs=1e-6)
    gradients = zip(torch.autograd.grad(3 * actual, (states, weight)), (states, weight), strict=True)
    for gradient, wanted in zip(gradients, torch.autograd.grad(3 * expected, (states, weight)), strict=True):
        torch.testing.assert_close(gradient[0], wanted, atol=2e-6, rtol=1e-5)


def test_the_loss_in_bfloat16() -> None:
    torch.manual_seed(0)
    states = torch.randn(40, 7, 64, dtype=torch.bfloat16, requires_grad=True)
    weight = (torch.randn(500, 64) * 0.3).requires_grad_()
    target = torch.randint(0, 500, (40, 7))
    actual = translation_loss(states, weight, target, 0.1)
    expected = translation_loss(states.float(), weight, target, 0.1)
    assert actual.item() == pytest.approx(expected.item(), rel=2e-3)
    gradients = torch.autograd.grad(actual, (states, weight)), torch.autograd.grad(expected, (states, weight))
    for part, parameter in enumerate((states, weight)):
        assert gradients[0][part].dtype == parameter.dtype
        difference = (gradients[0][part].float() - gradients[1][part].float()).norm()
        assert difference < 0.02 * gradients[1][part].float().norm()


def test_the_loss_of_the_hopeless_is_finite() -> None:
    states, weight = torch.full((1, 1, 2), 100.0), torch.tensor([[9.0, 9], [0, 0], [-9, -9], [0, 0]])
    assert 80 < translation_loss(states, weight, torch.tensor([[2]])).item() < 2000


@given(st.integers(1, 4), st.integers(1, 5), st.floats(0, 0.9), st.integers(0, 99))
def test_r_drop_is_the_mean_loss_and_what_the_passes_disagree_by(
    batch: int, length: int, smoothing: float, seed: int
) -> None:
    torch.manual_seed(seed)
    one, other = torch.randn(2, batch, length, 9)
    target = torch.randint(0, 9, (batch, length))
    target[0, 0] = 5
    counted = target != PAD
    losses = [F.cross_entropy(x[counted], target[counted], label_smoothing=smoothing) for x in (one, other)]
    p, q = (torch.distributions.Categorical(logits=x[counted]) for x in (one, other))
    divergence = torch.distributions.kl_divergence
    apart = (divergence(p, q) + divergence(q, p)).mean() / 2
    # The paper's sum of two losses and alpha times the divergence, halved to the mean of two.
    expected = (losses[0] + losses[1] + 3 * apart) / 2
    torch.testing.assert_close(r_drop_loss(torch.cat([one, other]), target, smoothing, alpha=3.0), expected)

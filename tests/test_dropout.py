"""Dropout drops its share, at random, and keeps the mean."""

from __future__ import annotations

import pytest
import torch

from translator.dropout import Dropout


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.999])
def test_dropout(share: float) -> None:
    torch.manual_seed(0)
    dropout, x = Dropout(share), torch.ones(999, 1001, requires_grad=True)
    assert dropout.eval()(x) is x
    y = dropout.train()(x)
    zeros = (y == 0).float().mean().item()
    assert zeros == pytest.approx(share, abs=1 / 256)
    assert y.mean().item() == pytest.approx(1.0, abs=0.05)
    y.sum().backward()
    assert x.grad is not None and torch.equal(x.grad, y.detach())
    if share >= 0.1:  # neither rows, columns nor neighbours fall together
        kept = (y != 0).float()
        for part in (kept.mean(0), kept.mean(1)):
            assert part.std().item() < 0.03
        pairs = (kept[:, 1:] * kept[:, :-1]).mean().item()
        assert pairs == pytest.approx((1 - zeros) ** 2, abs=0.01)
        assert not torch.equal(dropout(x), y)

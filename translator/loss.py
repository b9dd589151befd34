"""Label-smoothed cross-entropy over a vocabulary, without ever holding the scores of a whole batch; and R-Drop.

Shapes: `B` batch, `T` target length, `N` positions, `D` model width, `V` vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from translator.tokenizer import PAD


def translation_loss(states: Tensor, weight: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy (nats a token) of (B, T, D) states, scored by `weight` (V, D), against (B, T) ids.

    Padding is left out. `smoothing` is the share of the probability that is wanted on all pieces alike.
    """
    arguments = states.flatten(0, 1), weight, target.flatten(), smoothing, torch.is_grad_enabled()
    with torch.autocast(states.device.type, enabled=False):  # it would have the softmax in float32, whole
        return VocabularyLoss.apply(*arguments)  # type: ignore[no-any-return, no-untyped-call]


def r_drop_loss(logits: Tensor, target: Tensor, smoothing: float, alpha: float) -> Tensor:
    """R-Drop (Liang et al. 2021): mean cross-entropy (nats a token) of two passes, and by how much they disagree.

    `logits` are (2 B, T, V), of a batch that passed the model twice in one, each time under dropout of its own;
    `target` are the (B, T) ids. The disagreement is the mean of the Kullback-Leibler divergences either way. It is
    half of what the paper adds up, so that it stays the loss of one pass.
    """
    ids = target[target != PAD]  # N
    one, other = (F.log_softmax(half[target != PAD].float(), dim=-1) for half in logits.chunk(2))  # N V each
    losses = [F.cross_entropy(logprobs, ids, label_smoothing=smoothing) for logprobs in (one, other)]
    disagreement = ((one.exp() - other.exp()) * (one - other)).sum(dim=-1).mean() / 2
    return (losses[0] + losses[1] + alpha * disagreement) / 2


class VocabularyLoss(torch.autograd.Function):
    """Output projection and cross-entropy in one, some positions at a time.

    A position has V = 8,000 scores, so that those of a batch are larger than all else in a training step. Here
    they never exist whole: the forward pass turns the scores of a chunk into their gradient, and that into the
    gradients of states and weight, all that the backward pass needs. Against `F.cross_entropy` on float32 scores
    this saves hundreds of megabytes, and 6 % of a step on two AVX-512 cores.
    """

    CHUNK = 2048
    """Positions: matrix products lose speed below, memory is lost above."""

    @staticmethod
    def forward(
        ctx: Any, states: Tensor, weight: Tensor, target: Tensor, smoothing: float, training: bool
    ) -> Tensor:
        """(N, D) states, (V, D) weight, (N) ids → the mean loss, a float32 scalar."""
        weight = weight.to(states.dtype)
        mean_weight = weight.mean(dim=0, dtype=torch.float32)
        loss = torch.zeros((), device=states.device)
        states_grad = torch.empty_like(states)
        weight_grad = torch.zeros(weight.shape, device=weight.device)  # float32: a sum of chunks
        for start in range(0, len(states), VocabularyLoss.CHUNK):
            rows = slice(start, start + VocabularyLoss.CHUNK)
            x, ids = states[rows], target[rows]
            counted, every = ids != PAD, torch.arange(len(ids), device=ids.device)
            scores = x @ weight.t()  # N V
            shares = F.softmax(scores, dim=-1)
            right_score, right_share = scores[every, ids].float(), shares[every, ids].float()  # N each
            # A share too small for a float counts as the smallest, 87 nats: the loss stays a number.
            right_loss = -right_share.clamp(min=torch.finfo(torch.float32).tiny).log()
            # Over all pieces, the mean score is the score by the mean weight: no need to add up V of them.
            even_loss = right_loss + right_score - x.float() @ mean_weight
            loss += ((1 - smoothing) * right_loss + smoothing * even_loss).masked_fill(~counted, 0.0).sum()
            if training:  # the gradient of the scores: the shares they give less the shares that are wanted
                grad = shares.sub_(smoothing / len(weight))
                right_grad = right_share - smoothing / len(weight) - (1 - smoothing)
                grad[every, ids] = right_grad.to(grad.dtype)  # scatter_ would copy all of it to float32 and back
                states_grad[rows] = grad @ weight * counted[:, None]
                weight_grad += grad.t() @ (x * counted[:, None])
        tokens = (target != PAD).sum()
        ctx.save_for_backward(states_grad, weight_grad, tokens)
        return loss / tokens

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        """Chain rule: what the forward pass left, times the gradient of the mean."""
        states_grad, weight_grad, tokens = ctx.saved_tensors
        factor = gradients[0] / tokens
        return states_grad * factor, weight_grad * factor, None, None, None

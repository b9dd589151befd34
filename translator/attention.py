"""Attention, step by step: compare queries with keys, turn the scores into shares, mix the values by them.

    Attention(Q, K, V) = softmax(Q Kᵀ / √d) V            (Vaswani et al. 2017, equation 1)

Everything that attention does in this project is in this file. Shapes: `B` batch, `H` heads, `T` queries,
`S` keys and values, `D` model width, `d` = D / H width of a head. A mask is True where one may look.

The inner product of two vectors is large when they point the same way and negative when they point apart:

>>> similar = attention_scores(torch.tensor([[2.0, 3.0]]), torch.tensor([[4.0, 5.0]]))
>>> different = attention_scores(torch.tensor([[2.0, 3.0]]), torch.tensor([[-5.0, 2.0]]))
>>> similar.item(), different.item()
(23.0, -4.0)

A weighted sum keeps more of what has the larger weight, here 88 % of A = [1, 0] and 12 % of B = [0, 1]:

>>> weights = attention_weights(torch.tensor([[2.0, 0.0]]))
>>> mix(weights, torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
tensor([[0.8808, 0.1192]])
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translator.dropout import Dropout


def attention_scores(queries: Tensor, keys: Tensor) -> Tensor:
    """How alike each query and each key are: their inner products QKᵀ, (…, T, d) × (…, S, d) → (…, T, S)."""
    return queries @ keys.transpose(-2, -1)


def scale(scores: Tensor, width: int) -> Tensor:
    """Divide by √d: a sum of d products grows like √d, and large scores leave softmax no slope to learn."""
    return scores / math.sqrt(width)


def hide(scores: Tensor, mask: Tensor | None) -> Tensor:
    """Set the scores where `mask` is False to −∞, so that their weight becomes exactly 0."""
    return scores if mask is None else scores.masked_fill(~mask, -math.inf)


def attention_weights(scores: Tensor) -> Tensor:
    """Softmax over the keys: exp makes every score positive, the division makes each row sum to 1."""
    return F.softmax(scores, dim=-1)


def mix(weights: Tensor, values: Tensor) -> Tensor:
    """The weighted sum of the values, (…, T, S) × (…, S, d) → (…, T, d)."""
    return weights @ values


def causal_mask(length: int, past: int = 0, device: torch.device | None = None) -> Tensor:
    """What each of `length` new tokens may look at: the `past` ones, itself and those before it, not its future.

    >>> causal_mask(3).int()
    tensor([[1, 0, 0],
            [1, 1, 0],
            [1, 1, 1]], dtype=torch.int32)
    """
    return torch.ones(length, past + length, dtype=torch.bool, device=device).tril(past)


@dataclass
class Captured:
    """All that one attention layer computed for one input, head by head."""

    inputs: Tensor  # B T D, what the queries are made from
    queries: Tensor  # B H T d
    keys: Tensor  # B H S d
    values: Tensor  # B H S d
    scores: Tensor  # B H T S, after scaling, before masking
    mask: Tensor | None  # broadcasts to B H T S; True may be looked at
    weights: Tensor  # B H T S, rows sum to 1
    heads: Tensor  # B H T d, the mixed values, before the heads are joined
    outputs: Tensor  # B T D, the joined heads after the output projection


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each in its own projection of the input (section 3.2.2 of the paper).

    One class serves all three places; only the origin of `x` and `context` and the mask differ:

    - encoder self-attention: queries, keys and values all from the English sentence;
    - masked decoder self-attention: all from the Korean sentence so far, the future hidden;
    - cross-attention: queries from the Korean decoder, keys and values from the English encoder.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, head_dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = Dropout(dropout)  # at 0.1, 1.5 % of a training step
        self.head_dropout = head_dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.captured: list[Captured] | None = None  # a list while inside `capture`
        self.joined: Callable[[Tensor], Tensor] | None = None  # the three as one: `packing.packed`

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None = None) -> Tensor:
        """Each position of `x` (B, T, D) gathers from all of `context` (B, S, D) what `mask` lets it see."""
        if context is x:
            return self.look(x, *self.queries_keys_values(x), mask)
        return self.look(x, self.queries(x), *self.keys_values(context), mask)

    def queries(self, x: Tensor) -> Tensor:
        """Project what looks, (B, T, D), into queries, (B, H, T, d)."""
        return self._split(self.query(x))

    def keys_values(self, context: Tensor) -> tuple[Tensor, Tensor]:
        """Project what is looked at, (B, S, D), into keys and values, (B, H, S, d) each."""
        return self._split(self.key(context)), self._split(self.value(context))

    def queries_keys_values(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All three from one input, as self-attention has it."""
        if self.joined is None or torch.is_grad_enabled():
            return self.queries(x), *self.keys_values(x)
        joined = self.joined(x).view(*x.shape[:2], 3, self.heads, -1)
        queries, keys, values = joined.permute(2, 0, 3, 1, 4)  # B T 3 H d -> B H T d each
        return queries, keys, values

    def look(self, x: Tensor, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Look at keys and values that are already there, which is what cached decoding needs → (B, T, D).

        `x` is what the queries were projected from; it is only kept by `capture`.
        """
        if self.captured is not None or self._explicit_is_faster(queries):
            scores = scale(attention_scores(queries, keys), queries.size(-1))
            weights = attention_weights(hide(scores, mask))
            mixed = mix(self.dropout(weights), values)
        else:  # the same in one call of torch's fused kernel
            dropout = self.dropout.share if self.training else 0.0
            mixed = F.scaled_dot_product_attention(queries, keys, values, mask, dropout)
        if self.training and self.head_dropout:  # some heads of each sentence are silent (Zhou et al. 2020)
            mixed = mixed * F.dropout(mixed.new_ones(*mixed.shape[:2], 1, 1), self.head_dropout)
        outputs: Tensor = self.output(self._join(mixed))
        if self.captured is not None:
            self.captured.append(Captured(x, queries, keys, values, scores, mask, weights, mixed, outputs))
        return outputs

    def _explicit_is_faster(self, queries: Tensor) -> bool:
        """On CPUs the fused kernel's backward pass is slow for sentences: a whole training step takes 1.5 times as
        long with it (batches of 4,096 tokens of real text)."""
        return queries.requires_grad and queries.device.type == "cpu"

    def _split(self, x: Tensor) -> Tensor:
        # B T D -> B H T d. Laid out anew, since CPUs multiply it faster so: 4 % of a training step.
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2).contiguous()

    def _join(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2).flatten(2)  # B H T d -> B T D


@contextmanager
def capture(model: nn.Module) -> Iterator[dict[str, list[Captured]]]:
    """Keep what every attention layer of `model` computes, by the layer's name, in the order of its calls.

    Inside, the explicit path runs instead of the fused one; what the model returns stays the same.
    """
    layers = {name: m for name, m in model.named_modules() if isinstance(m, MultiHeadAttention)}
    kept: dict[str, list[Captured]] = {name: [] for name in layers}
    before = {name: layer.captured for name, layer in layers.items()}
    try:
        for name, layer in layers.items():
            layer.captured = kept[name]
        yield kept
    finally:
        for name, layer in layers.items():
            layer.captured = before[name]

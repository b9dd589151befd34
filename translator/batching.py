"""Batches of sentences of like length, within a budget of tokens, in an order that can be replayed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from translator.tokenizer import BOS, EOS, PAD

Example = tuple[list[int], list[int]]
"""English ids and Korean ids of a pair, without begin and end marks."""


@dataclass
class Batch:
    """Padded ids of `B` pairs. The decoder reads `target_in` and is to predict `target_out`, one step ahead."""

    source: Tensor  # B S, ends in </s>
    target_in: Tensor  # B T, begins with <s>
    target_out: Tensor  # B T, ends in </s>
    tokens: int
    """Target tokens that are not padding."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""
        return Batch(self.source.to(device), self.target_in.to(device), self.target_out.to(device), self.tokens)


def epoch_batches(
    lengths: Sequence[tuple[int, int]],
    budget: int,
    seed: int,
    epoch: int,
    weights: Sequence[float] | None = None,
) -> list[list[int]]:
    """Indices of each batch of an epoch: a pure function of its arguments, so that a resumed run sees the same.

    `lengths` are (source, target) counts without marks. Every index occurs once, or as often as its weight
    says: 2.3 is twice, and a third time in 30 % of the epochs. A batch holds as many sentences as fit when
    padded to its longest side; a sentence over the budget is a batch of its own.
    """
    rng = random.Random(f"{seed} {epoch}")
    order = list(range(len(lengths)))
    if weights is not None:
        order = [i for i in order for _ in range(int(weights[i]) + (rng.random() < weights[i] % 1))]
    rng.shuffle(order)
    order.sort(key=lambda i: (lengths[i][1], lengths[i][0]))  # stable, so ties stay shuffled
    batches: list[list[int]] = []
    longest = 0
    for i in order:
        longest = max(longest, *(n + 1 for n in lengths[i]))  # + 1 for the end mark
        if not batches or longest * (len(batches[-1]) + 1) > budget:
            batches.append([])
            longest = max(n + 1 for n in lengths[i])
        batches[-1].append(i)
    rng.shuffle(batches)
    return batches


def collate(examples: Sequence[Example]) -> Batch:
    """Pad examples into one batch."""
    return Batch(
        source=pad([[*source, EOS] for source, _ in examples]),
        target_in=pad([[BOS, *target] for _, target in examples]),
        target_out=pad([[*target, EOS] for _, target in examples]),
        tokens=sum(len(target) + 1 for _, target in examples),
    )


def pad(rows: Sequence[Sequence[int]]) -> Tensor:
    """Rows of ids as one tensor (B, longest), filled up with PAD."""
    width = max(map(len, rows))
    return torch.tensor([[*row, *[PAD] * (width - len(row))] for row in rows])

"""Figures beside a map: what a head is like, and whether what it looks at matters.

Weights alone do not say how much a look changes the translation (Jain & Wallace 2019). So beside the weights stand
the norms of what they carry, and two experiments on the model itself: silence a head, or leave a word out.
Shapes: `L` layers, `H` heads, `Q` queries, `K` keys, `S` English pieces, `T` Korean ones, `D` model width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from translator.attention import Captured, MultiHeadAttention
from translator.batching import pad_and_end
from translator.decoding import next_logprobs
from translator.inspection.words import Array
from translator.model import Transformer


def norms(captured: Captured, layer: MultiHeadAttention) -> Tensor:
    """‖α f(x)‖ of each head, (B, H, Q, K), with f(x) = (x W_V + b_V) W_O: how long the vector is that a look adds
    to the sum (Kobayashi et al. 2020, equation 4). A large weight on a short vector moves nothing."""
    output = layer.output.weight.view(-1, layer.heads, captured.values.size(-1))  # D H d
    carried = torch.einsum("bhkd,Dhd->bhkD", captured.values, output)
    lengths: Tensor = torch.linalg.vector_norm(carried, dim=-1).unsqueeze(2)  # B H 1 K
    return captured.weights * lengths


def entropy(weights: Array) -> Array:
    """How spread the looks are, in nats, mean over the queries: (…, Q, K) → (…). 0 is one key, ln K all alike."""
    logs = np.log(weights, out=np.zeros_like(weights), where=weights > 0)
    result: Array = -(weights * logs).sum(-1).mean(-1)
    return result


def confidence(weights: Array) -> Array:
    """The largest weight of a row, mean over the queries (Voita et al. 2019): (…, Q, K) → (…)."""
    result: Array = weights.max(-1).mean(-1)
    return result


def diagonality(weights: Array) -> Array:
    """How near the looks are to the diagonal: 1 less their mean distance to it, both sides scaled to length 1."""
    rows, columns = (np.linspace(0, 1, n, dtype=np.float32) for n in weights.shape[-2:])
    result: Array = 1 - (weights * abs(rows[:, None] - columns)).sum(-1).mean(-1)
    return result


def rollout(weights: Array) -> Array:
    """Where each state after each layer comes from, (L, H, S, S) → (L, S, S): the heads' mean and the residual
    path half each, multiplied up through the layers (Abnar & Zuidema 2020)."""
    steps = 0.5 * weights.mean(1) + 0.5 * np.eye(weights.shape[-1], dtype=np.float32)
    flows = [steps[0]]
    for step in steps[1:]:
        flows.append(step @ flows[-1])
    return np.stack(flows)


@contextmanager
def silenced(layer: MultiHeadAttention, head: int) -> Iterator[None]:
    """Inside, one head adds nothing: its rows of W_O are zero."""
    width = layer.output.in_features // layer.heads
    weight = layer.output.weight.data[:, head * width : (head + 1) * width]  # D d, a view
    before = weight.clone()
    weight.zero_()
    try:
        yield
    finally:
        weight.copy_(before)


@torch.inference_mode()
def ablation(model: Transformer, layers: Sequence[MultiHeadAttention], ids: Sequence[list[int]]) -> Array:
    """Nats a token that the loss of one translation rises when a head is silenced (Michel et al. 2019): (L, H).

    `ids` are those of the source, of what the decoder reads and of what it is to predict.
    """
    before = piece_logprobs(model, *ids).mean()
    losses = np.zeros((len(layers), layers[0].heads), dtype=np.float32)
    for index, layer in enumerate(layers):
        for head in range(layer.heads):
            with silenced(layer, head):
                losses[index, head] = before - piece_logprobs(model, *ids).mean()
    return losses


@torch.inference_mode()
def occlusion(model: Transformer, ids: Sequence[list[int]], words: Sequence[Sequence[int]]) -> Array:
    """Nats of log-probability that each predicted piece loses when an English word is left out: (T, words).

    `words` are the places of each word's pieces in the source. Negative where the piece is likelier without.
    """
    source, reads, predicts = ids
    whole = piece_logprobs(model, *ids)
    losses = np.zeros((len(reads), len(words)), dtype=np.float32)
    for start in range(0, len(words), 16):  # some at a time, since the scores of a whole vocabulary are many
        some = words[start : start + 16]
        left = [[id for place, id in enumerate(source[:-1]) if place not in word] for word in some]
        target = torch.tensor([reads] * len(some), device=model.device)
        logprobs = next_logprobs(model(pad_and_end(left).to(model.device), target))  # words T V
        losses[:, start : start + 16] = (whole - logprobs[:, torch.arange(len(reads)), predicts]).T.cpu().numpy()
    return losses


@torch.inference_mode()
def piece_logprobs(model: Transformer, source: list[int], reads: list[int], predicts: list[int]) -> Tensor:
    """Log-probability of each piece in `predicts` (T), given the source and the pieces before it."""
    logits = model(torch.tensor([source], device=model.device), torch.tensor([reads], device=model.device))
    return next_logprobs(logits[0])[torch.arange(len(predicts)), predicts]

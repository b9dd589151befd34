"""Figures beside a map are what they say."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.toy import tiny_model
from translator.attention import MultiHeadAttention, capture
from translator.inspection import measures
from translator.inspection.maps import attention_layers
from translator.inspection.words import Array
from translator.tokenizer import BOS, EOS

IDS = [5, 6, 7, 8, EOS], [BOS, 9, 10, 11], [9, 10, 11, EOS]


@given(st.integers(1, 4), st.integers(1, 6), st.sampled_from([1, 2, 4]), st.integers(0, 99))
def test_norms_are_of_the_vectors_that_add_up_to_the_output(
    queries: int, keys: int, heads: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = MultiHeadAttention(8, heads)
    x, context = torch.randn(1, queries, 8), torch.randn(1, keys, 8)
    with torch.no_grad(), capture(layer) as captured:
        layer(x, context)
        [seen] = captured[""]
        found = measures.norms(seen, layer)
        total = torch.zeros(queries, 8)
        for head, (q, k) in ((h, place) for h in range(heads) for place in np.ndindex(queries, keys)):
            padded = torch.zeros(heads, 8 // heads)
            padded[head] = seen.values[0, head, k]
            vector = seen.weights[0, head, q, k] * (padded.flatten() @ layer.output.weight.T)
            torch.testing.assert_close(found[0, head, q, k], vector.norm(), atol=1e-5, rtol=1e-5)
            total[q] += vector
        torch.testing.assert_close(total + layer.output.bias, seen.outputs[0], atol=1e-5, rtol=1e-5)


shapes = st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))


def weights(layers: int, queries: int, keys: int, seed: int) -> Array:
    """Rows that sum to 1, some of them with zeros: (L, 2, Q, K)."""
    made: Array = np.random.default_rng(seed).random((layers, 2, queries, keys), dtype=np.float32)
    made[..., : keys // 2] *= made[..., : keys // 2] > 0.5
    made[..., -1] += 0.01
    made /= made.sum(-1, keepdims=True)
    return made


@given(shapes)
def test_bounds(shape: tuple[int, int, int, int]) -> None:
    w = weights(*shape)
    keys = w.shape[-1]
    flat = np.full_like(w, 1 / keys)
    sharp = np.eye(keys, dtype=np.float32)[w.argmax(-1)]
    bounds: list[tuple[Callable[[Array], Array], float, float]] = [
        (measures.entropy, 0, math.log(keys)),
        (measures.confidence, 1 / keys, 1),
        (measures.diagonality, 0, 1),
    ]
    for measure, least, most in bounds:
        found = measure(w)
        assert found.shape == w.shape[:2]
        assert (found >= least - 1e-5).all() and (found <= most + 1e-5).all()
    np.testing.assert_allclose(measures.entropy(flat), math.log(keys), atol=1e-5)
    np.testing.assert_allclose(measures.entropy(sharp), 0, atol=1e-5)
    np.testing.assert_allclose(measures.confidence(sharp), 1, atol=1e-5)
    np.testing.assert_allclose(measures.diagonality(np.eye(keys, dtype=np.float32)), 1, atol=1e-5)


def test_entropy_counts_each_row_alike() -> None:
    w = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]], dtype=np.float32)
    assert measures.entropy(w) == pytest.approx(math.log(2) / 2)
    assert measures.confidence(w) == pytest.approx(0.75)
    assert measures.diagonality(w) == pytest.approx(1 - (0.25 + 0.0) / 2)


@given(shapes)
def test_rollout(shape: tuple[int, int, int, int]) -> None:
    layers, size, _, seed = shape
    w = weights(layers, size, size, seed)
    flows = measures.rollout(w)
    assert flows.shape == (layers, size, size)
    np.testing.assert_allclose(flows.sum(-1), 1, atol=1e-5)
    expected = np.eye(size)
    for flow, layer in zip(flows, w, strict=True):
        expected = (layer.mean(0) + np.eye(size)) / 2 @ expected
        np.testing.assert_allclose(flow, expected, atol=1e-5)


def test_a_silenced_head_adds_nothing_and_comes_back() -> None:
    model = tiny_model()
    layer = attention_layers(model)["cross"][1]
    before = layer.output.weight.detach().clone()
    with torch.no_grad(), capture(layer) as captured:
        x, context = torch.randn(1, 3, 16), torch.randn(1, 4, 16)
        with measures.silenced(layer, 1):
            silent = layer(x, context)
        heads = captured[""][0].heads.clone()
        heads[:, 1] = 0
        torch.testing.assert_close(silent, layer.output(heads.transpose(1, 2).flatten(2)))
    assert torch.equal(layer.output.weight, before)
    with pytest.raises(ZeroDivisionError), measures.silenced(layer, 0):
        raise ZeroDivisionError
    assert torch.equal(layer.output.weight, before)


def test_ablation_is_the_rise_of_the_loss() -> None:
    model = tiny_model()
    loss = -measures.piece_logprobs(model, *IDS).mean()
    for layers in attention_layers(model).values():
        found = measures.ablation(model, layers, IDS)
        assert found.shape == (len(layers), 2) and (found != 0).any()
        for index, layer in enumerate(layers):
            for head in range(2):
                with measures.silenced(layer, head):
                    rise = -measures.piece_logprobs(model, *IDS).mean() - loss
                assert found[index, head] == pytest.approx(rise.item(), abs=1e-5)
    assert -measures.piece_logprobs(model, *IDS).mean() == loss


def test_occlusion_is_what_leaving_a_word_out_costs() -> None:
    model = tiny_model()
    whole = measures.piece_logprobs(model, *IDS)
    found = measures.occlusion(model, IDS, [[0], [1, 2], [3], []])
    assert found.shape == (4, 4)
    for column, rest in enumerate(([6, 7, 8, EOS], [5, 8, EOS], [5, 6, 7, EOS], [5, 6, 7, 8, EOS])):
        left = whole - measures.piece_logprobs(model, rest, *IDS[1:])
        np.testing.assert_allclose(found[:, column], left.numpy(), atol=1e-5)
    assert measures.occlusion(model, IDS, []).shape == (4, 0)

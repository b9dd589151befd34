"""Both paths of attention compute the same, and looking inside changes nothing."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.toy import tiny_model
from translator.attention import (
    MultiHeadAttention,
    attention_scores,
    attention_weights,
    capture,
    causal_mask,
    hide,
    mix,
    scale,
)
from translator.tokenizer import EOS, PAD

kinds = st.sampled_from(["self", "masked", "cross"])
shapes = st.tuples(st.integers(1, 3), st.integers(1, 7), st.integers(1, 9), st.sampled_from([1, 2, 4]))


def case(
    kind: str, shape: tuple[int, int, int, int], seed: int
) -> tuple[MultiHeadAttention, Tensor, Tensor, Tensor]:
    """A layer, what looks, what it looks at, and what it may see."""
    batch, queries, keys, heads = shape
    torch.manual_seed(seed)
    layer = MultiHeadAttention(8, heads).eval()
    x = torch.randn(batch, queries, 8)
    if kind == "masked":
        return layer, x, x, causal_mask(queries)
    memory = x if kind == "self" else torch.randn(batch, keys, 8)
    lengths = torch.randint(1, memory.size(1) + 1, (batch,))
    return layer, x, memory, (torch.arange(memory.size(1)) < lengths[:, None])[:, None, None, :]


def test_worked_example() -> None:
    similar = attention_scores(torch.tensor([[2.0, 3.0]]), torch.tensor([[4.0, 5.0]]))
    different = attention_scores(torch.tensor([[2.0, 3.0]]), torch.tensor([[-5.0, 2.0]]))
    assert (similar.item(), different.item()) == (23.0, -4.0)
    weights = attention_weights(torch.tensor([[2.0, 0.0]]))
    torch.testing.assert_close(weights, torch.tensor([[0.8808, 0.1192]]), atol=5e-5, rtol=0)
    assert scale(torch.tensor(8.0), 16).item() == 2.0
    assert math.isinf(hide(torch.zeros(1, 2), torch.tensor([[True, False]]))[0, 1].item())


@given(st.integers(1, 9), st.integers(0, 9))
def test_the_causal_mask_shows_the_past_and_hides_the_future(length: int, past: int) -> None:
    mask = causal_mask(length, past)
    assert mask.shape == (length, past + length)
    for query in range(length):
        assert mask[query].tolist() == [key <= past + query for key in range(past + length)]


@given(kinds, shapes, st.integers(0, 99))
def test_the_two_paths_agree(kind: str, shape: tuple[int, int, int, int], seed: int) -> None:
    layer, x, memory, mask = case(kind, shape, seed)
    with torch.no_grad():
        fused = layer(x, memory, mask)
        state = torch.get_rng_state()
        with capture(layer) as captured:
            explicit = layer(x, memory, mask)
        assert torch.equal(torch.get_rng_state(), state)
    assert layer.captured is None
    torch.testing.assert_close(explicit, fused, atol=1e-6, rtol=1e-6)

    [seen] = captured[""]
    batch, queries, keys, heads = len(x), x.size(1), memory.size(1), shape[3]
    assert seen.queries.shape == seen.heads.shape == (batch, heads, queries, 8 // heads)
    assert seen.keys.shape == seen.values.shape == (batch, heads, keys, 8 // heads)
    assert seen.scores.shape == seen.weights.shape == (batch, heads, queries, keys)
    torch.testing.assert_close(seen.weights.sum(-1), torch.ones(batch, heads, queries), atol=1e-6, rtol=0)
    assert (seen.weights >= 0).all()
    assert (seen.weights[~mask.expand_as(seen.weights)] == 0).all()
    assert torch.isfinite(seen.scores).all()
    torch.testing.assert_close(
        seen.scores, seen.queries @ seen.keys.mT / math.sqrt(8 / heads), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(mix(seen.weights, seen.values), seen.heads, atol=1e-5, rtol=1e-5)
    joined = torch.cat(list(seen.heads.unbind(dim=1)), dim=-1)  # head after head, B T D
    with torch.no_grad():
        torch.testing.assert_close(layer.output(joined), fused, atol=1e-5, rtol=1e-5)


@given(kinds, shapes, st.integers(0, 99))
def test_the_two_paths_have_the_same_gradients(kind: str, shape: tuple[int, int, int, int], seed: int) -> None:
    layer, x, memory, mask = case(kind, shape, seed)
    target = torch.randn_like(x)
    gradients = []
    for explicit in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(layer, "_explicit_is_faster", lambda _, explicit=explicit: explicit)
            layer.zero_grad()
            a, b = x.clone().requires_grad_(), memory.clone().requires_grad_()
            ((layer(a, b, mask) * target).sum()).backward()
            gradients.append([a.grad, b.grad, *(p.grad for p in layer.parameters())])
    for explicit_one, fused_one in zip(*gradients, strict=True):
        torch.testing.assert_close(explicit_one, fused_one, atol=1e-4, rtol=1e-4)


def test_capture_of_a_whole_model_changes_nothing() -> None:
    model = tiny_model()
    source = torch.tensor([[5, 6, 7, EOS], [8, EOS, PAD, PAD]])
    target = torch.tensor([[2, 9, 10], [2, 11, PAD]])
    with torch.no_grad():
        plain = model(source, target)
        state = torch.get_rng_state()
        with capture(model) as captured:
            watched = model(source, target)
        assert torch.equal(torch.get_rng_state(), state)
        torch.testing.assert_close(watched, plain, atol=1e-5, rtol=1e-6)
        assert torch.equal(model(source, target), plain)
    assert list(captured) == [
        "encoder.0.self_attention",
        *(f"decoder.{i}.{kind}_attention" for i in (0, 1) for kind in ("self", "cross")),
    ]
    assert all(len(calls) == 1 for calls in captured.values())


def test_capture_while_training_draws_the_same_random_numbers() -> None:
    torch.manual_seed(0)
    layer = MultiHeadAttention(8, 2, dropout=0.5).train()
    x = torch.randn(2, 5, 8)
    torch.manual_seed(1)
    plain, state = layer(x, x), torch.get_rng_state()
    torch.manual_seed(1)
    with capture(layer) as captured:
        watched = layer(x, x)
    assert torch.equal(plain, watched) and torch.equal(torch.get_rng_state(), state)
    rows = captured[""][0].weights.sum(-1)  # before dropout
    torch.testing.assert_close(rows, torch.ones_like(rows), atol=1e-6, rtol=0)


def test_silent_heads_are_silent_in_training_and_for_whole_sentences() -> None:
    torch.manual_seed(0)
    layer = MultiHeadAttention(8, 2, head_dropout=0.5).train()
    with torch.no_grad():
        layer.output.weight.copy_(torch.eye(8))
        layer.output.bias.zero_()
    x = torch.randn(200, 5, 8)
    silenced, heard = layer(x, x).view(200, 5, 2, 4), layer.eval()(x, x).view(200, 5, 2, 4)  # B T H d
    silent = (silenced == 0).all(dim=-1)  # B T H
    assert torch.equal(silent, silent[:, :1].expand_as(silent))  # all of a sentence or nothing of it
    assert 0.3 < silent.float().mean() < 0.7
    torch.testing.assert_close(silenced, torch.where(silent[..., None], 0.0, 2 * heard))  # louder for the others


def test_capture_ends_after_an_error() -> None:
    model = tiny_model()
    with pytest.raises(ZeroDivisionError), capture(model):
        raise ZeroDivisionError
    assert all(m.captured is None for m in model.modules() if isinstance(m, MultiHeadAttention))

"""The Transformer: nothing leaks, padding and caching change nothing, every parameter is accounted for."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.toy import tiny_model
from translator.config import ModelConfig
from translator.decoding import branch
from translator.model import EncoderLayer, Memory, Transformer, sinusoids
from translator.tokenizer import BOS, EOS, PAD

MODELS = {norm: tiny_model(norm=norm) for norm in ("pre", "post")}
norms = st.sampled_from(list(MODELS))
source_ids = st.lists(st.integers(4, 29), max_size=8)
target_ids = st.lists(st.integers(4, 23), min_size=1, max_size=8)


def close(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, atol=1e-5, rtol=1e-5)


@given(norms, source_ids, target_ids, st.data())
@torch.no_grad()
def test_the_future_leaks_nowhere(norm: str, source: list[int], target: list[int], data: st.DataObject) -> None:
    model = MODELS[norm]
    at = data.draw(st.integers(0, len(target)))
    changed = [BOS, *target]
    changed[at] = data.draw(st.integers(4, 23).filter(lambda i: i != changed[at]))
    memory = model.encode(torch.tensor([[*source, EOS]]))
    before, after = (model.decode(torch.tensor([ids]), memory)[0] for ids in ([BOS, *target], changed))
    assert torch.equal(before[:at], after[:at])
    assert not torch.equal(before[at], after[at])


@given(norms, st.lists(st.tuples(source_ids, target_ids), min_size=1, max_size=4))
@torch.no_grad()
def test_padding_and_company_change_nothing(norm: str, pairs: list[tuple[list[int], list[int]]]) -> None:
    model = MODELS[norm]
    width, length = (max(len(pair[side]) for pair in pairs) + 3 for side in (0, 1))
    sources = torch.tensor([[*s, EOS] + [PAD] * (width - len(s)) for s, _ in pairs])
    targets = torch.tensor([[BOS, *t] + [PAD] * (length - len(t)) for _, t in pairs])
    together = model(sources, targets)
    for row, (source, target) in enumerate(pairs):
        alone = model(torch.tensor([[*source, EOS]]), torch.tensor([[BOS, *target]]))
        close(together[row, : len(target) + 1], alone[0])


@given(norms, source_ids, target_ids, st.data())
@torch.no_grad()
def test_cached_decoding_is_decoding(norm: str, source: list[int], target: list[int], data: st.DataObject) -> None:
    model = MODELS[norm]
    ids = torch.tensor([[BOS, *target]])
    memory = model.encode(torch.tensor([[*source, EOS], [EOS] + [PAD] * len(source)])).keep(torch.tensor([0]))
    whole = model.decode(ids, memory)
    middle = data.draw(st.integers(1, len(target)))
    for cuts in (range(ids.size(1) + 1), (0, middle, ids.size(1))):
        cache = model.new_cache()
        parts = [model.decode(ids[:, a:b], memory, cache) for a, b in pairwise(cuts)]
        close(torch.cat(parts, dim=1), whole)
        assert cache.depth == ids.size(1)


@given(norms, st.lists(source_ids, min_size=1, max_size=3), st.integers(1, 4), st.integers(0, 99))
@torch.no_grad()
def test_hypotheses_are_branches_of_one_tree(norm: str, sources: list[list[int]], beam: int, seed: int) -> None:
    """K hypotheses a sentence that share a cache, parents chosen at random, sentences dropped on the way: each
    gets the scores that its own text gets alone."""
    model = MODELS[norm]
    generator = torch.Generator().manual_seed(seed)
    width = max(map(len, sources)) + 1
    memory = model.encode(torch.tensor([[*s, EOS] + [PAD] * (width - 1 - len(s)) for s in sources]))
    kept = memory
    texts = torch.full((len(sources), 1, 1), BOS)  # B K T
    past = torch.ones(len(sources), 1, 1, dtype=torch.bool)
    cache = model.new_cache()
    for step in range(4):
        scores = model.decode(texts[:, :, -1], kept, cache, past)
        for b, of_sentence in enumerate(texts):
            alone = Memory(kept.states[b : b + 1], _row(kept.padding, b))
            for k, text in enumerate(of_sentence):
                close(scores[b, k], model.decode(text.unsqueeze(0), alone)[0, -1])
        parents = torch.randint(0, texts.size(1), (len(texts), beam), generator=generator)
        rows = torch.arange(len(texts))
        if step == 1 and len(texts) > 1:  # the first sentence is done
            rows, parents = rows[1:], parents[1:]
            kept = kept.keep(rows)
            cache.keep(rows)
        newest = torch.randint(4, 24, (*parents.shape, 1), generator=generator)
        texts = torch.cat([texts[rows.unsqueeze(1), parents], newest], dim=2)
        past = branch(past, rows, parents)


def _row(padding: Tensor | None, b: int) -> Tensor | None:
    return None if padding is None else padding[b : b + 1]


def test_a_cache_that_outgrows_its_room() -> None:
    model = tiny_model()
    ids = torch.randint(4, 24, (2, 150))
    with torch.no_grad():
        memory, cache = model.encode(torch.tensor([[5, 6, EOS], [7, EOS, PAD]])), model.new_cache()
        parts = [model.decode(ids[:, t : t + 1], memory, cache) for t in range(ids.size(1))]
        close(torch.cat(parts, dim=1), model.decode(ids, memory))


def parameters(config: ModelConfig, source: int, target: int) -> int:
    """The closed formula: D width, F feed-forward."""
    D, F = config.width, config.feed_forward
    attention, feed_forward, norm = 4 * (D * D + D), D * F + F + F * D + D, 2 * D
    encoder = config.encoder_layers * (attention + feed_forward + 2 * norm)
    decoder = config.decoder_layers * (2 * attention + feed_forward + 3 * norm)
    embeddings = (source + target) * D + (0 if config.tie_embeddings else target * D)
    return embeddings + encoder + decoder + (2 * norm if config.norm == "pre" else 0)


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(("encoder", "decoder"), [(1, 1), (3, 1), (2, 4)])
def test_every_parameter_is_accounted_for(norm: str, tied: bool, encoder: int, decoder: int) -> None:
    config = ModelConfig(24, 3, encoder, decoder, 40, norm, "gelu", tied)  # type: ignore[arg-type]
    model = Transformer(config, 31, 17)
    assert sum(p.numel() for p in model.parameters()) == parameters(config, 31, 17)
    assert (model.output.weight is model.target_embedding.tokens.weight) == tied
    assert (model.source_embedding.tokens.weight[PAD] == 0).all()


def test_what_sublayers_add_to_a_post_norm_model_is_small_at_first() -> None:
    torch.manual_seed(0)
    model = Transformer(ModelConfig(width=256, norm="post", dropout=0.0), 500, 500)
    padding = torch.ones(1, 1, 1, 20, dtype=torch.bool)
    with torch.no_grad():
        x = model.source_embedding(torch.randint(4, 500, (1, 20)))
        for layer in model.encoder:
            assert isinstance(layer, EncoderLayer)
            added = layer.self_attention(x, x, padding), layer.feed_forward(x)
            assert all(part.norm() < 0.3 * x.norm() for part in added)
            x = layer(x, padding)


def test_positions() -> None:
    table = sinusoids(50, 12)
    assert table.shape == (50, 12)
    for position, column in ((0, 0), (7, 4), (49, 11)):
        angle = position / 10000 ** (2 * (column // 2) / 12)
        expected = math.cos(angle) if column % 2 else math.sin(angle)
        assert table[position, column].item() == pytest.approx(expected, abs=1e-5)


def test_sentences_longer_than_the_table() -> None:
    model = tiny_model(position_scale=4.0)
    assert len(model.source_embedding.positions) == 256
    source = torch.tensor([[*([5, 6, 7] * 130), EOS]])
    target = torch.tensor([[BOS, *([8, 9] * 150)]])
    with torch.inference_mode():
        whole = model(source, target)
        memory, cache = model.encode(source), model.new_cache()
        parts = [model.decode(target[:, a : a + 43], memory, cache) for a in range(0, 301, 43)]
        close(torch.cat(parts, dim=1), whole)
    for embedding in (model.source_embedding, model.target_embedding):
        table = embedding.positions
        assert len(table) > 300
        close(table, 4 * sinusoids(len(table), 16))
        assert torch.equal(table[:256], 4 * sinusoids(256, 16))
    assert not any("positions" in key for key in model.state_dict())
    # The table grew in inference mode; training goes on with it.
    model.train()
    model(source, target, target).backward()

"""Search finds what it should, alone or in company, and scores it rightly."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toy import tiny_model
from translator import decoding
from translator.batching import pad
from translator.decoding import (
    Hypothesis,
    beam_search,
    decode_all,
    greedy,
    length_limit,
    length_penalty,
    next_logprobs,
)
from translator.model import Transformer
from translator.tokenizer import BOS, EOS, PAD, UNK

MODELS = [tiny_model(seed=seed, target_vocabulary=9) for seed in range(4)]
models = st.sampled_from(MODELS)
sentence = st.lists(st.integers(4, 29), max_size=6)
sentences = st.lists(sentence, min_size=1, max_size=6)


def batch(sources: list[list[int]]) -> torch.Tensor:
    return pad([[*source, EOS] for source in sources])


@torch.no_grad()
def forced_logprob(model: Transformer, source: list[int], ids: list[int], finished: bool = True) -> float:
    """The log-probability of a translation, in one pass without a cache."""
    read = torch.tensor([[BOS, *ids][: len(ids) + finished]])
    predicted = [*ids, EOS][: len(ids) + finished]
    logprobs = next_logprobs(model(batch([source]), read)[0])
    return sum(logprobs[t, piece].item() for t, piece in enumerate(predicted))


@torch.no_grad()
def naive_greedy(model: Transformer, source: list[int]) -> list[int]:
    """The whole sentence through the decoder again at every step."""
    ids: list[int] = []
    while len(ids) < length_limit(len(source) + 1):
        logits = model(batch([source]), torch.tensor([[BOS, *ids]]))[0, -1]
        logits[[UNK, PAD, BOS]] = -math.inf
        piece = int(logits.argmax())
        if piece == EOS:
            break
        ids.append(piece)
    return ids


@settings(max_examples=25)
@given(models, sentences)
def test_greedy_is_the_likeliest_piece_each_time_in_any_company(
    model: Transformer, sources: list[list[int]]
) -> None:
    together = greedy(model, batch(sources))
    for source, found in zip(sources, together, strict=True):
        assert found.ids == naive_greedy(model, source)
        assert found.ids == greedy(model, batch([source]))[0].ids
        check(model, source, found, alpha=1.0)


def check(model: Transformer, source: list[int], found: Hypothesis, alpha: float) -> None:
    """A hypothesis is well-formed and its figures are right."""
    assert all(i > EOS for i in found.ids)
    assert found.logprob == pytest.approx(forced_logprob(model, source, found.ids, found.finished), abs=1e-4)
    pieces = len(found.ids) + found.finished
    assert found.score == pytest.approx(found.logprob / length_penalty(pieces, alpha), abs=1e-4)
    limit = length_limit(len(source) + 1)
    assert len(found.ids) < limit if found.finished else len(found.ids) == limit


@settings(max_examples=25)
@given(models, sentences, st.integers(1, 5), st.sampled_from([0.0, 0.6, 1.0]))
def test_beam_search_in_any_company(model: Transformer, sources: list[list[int]], beam: int, alpha: float) -> None:
    together = beam_search(model, batch(sources), beam, alpha)
    assert len(together) == len(sources)
    for source, found in zip(sources, together, strict=True):
        assert [h.ids for h in found] == [h.ids for h in beam_search(model, batch([source]), beam, alpha)[0]]
        assert 1 <= len(found) <= beam
        assert [h.finished for h in found] == sorted((h.finished for h in found), reverse=True)
        for part in ([h.score for h in found if h.finished is finished] for finished in (True, False)):
            assert part == sorted(part, reverse=True)
        assert len({(*h.ids, h.finished) for h in found}) == len(found)
        for hypothesis in found:
            check(model, source, hypothesis, alpha)


@settings(max_examples=25)
@given(models, sentences)
def test_a_beam_of_one_is_greedy(model: Transformer, sources: list[list[int]]) -> None:
    """With no length penalty, that is: with one, a beam of one may go on past an end mark."""
    for one, [best] in zip(greedy(model, batch(sources)), beam_search(model, batch(sources), 1, 0.0), strict=True):
        assert (one.ids, one.finished) == (best.ids, best.finished)
        assert one.logprob == pytest.approx(best.logprob, abs=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_is_exhaustive_search(alpha: float, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 3
    monkeypatch.setattr(decoding, "length_limit", lambda _: limit)
    model = tiny_model(seed=seed, target_vocabulary=7)  # three pieces beside the specials
    source = [5, 9, 6]
    every: list[tuple[float, list[int]]] = []
    for length in range(limit):
        for ids in itertools.product(range(4, 7), repeat=length):
            score = forced_logprob(model, source, list(ids)) / length_penalty(length + 1, alpha)
            every.append((score, list(ids)))
    every.sort(key=lambda scored: -scored[0])

    [found] = beam_search(model, batch([source]), 100, alpha)
    finished = [h for h in found if h.finished]
    assert [h.ids for h in finished] == [ids for _, ids in every]
    assert [h.score for h in finished] == pytest.approx([score for score, _ in every], abs=1e-4)
    cut = [h for h in found if not h.finished]
    assert sorted(h.ids for h in cut) == [list(ids) for ids in itertools.product(range(4, 7), repeat=limit)]


@settings(max_examples=25)
@given(models, st.lists(sentence, max_size=9), st.integers(1, 4), st.integers(1, 3))
def test_decode_all_yields_each_once(
    model: Transformer, sources: list[list[int]], batch_size: int, beam: int
) -> None:
    found = list(decode_all(model, sources, beam, batch_size=batch_size))
    assert sorted(i for i, _ in found) == list(range(len(sources)))
    for i, hypotheses in found:
        [(_, alone)] = decode_all(model, [sources[i]], beam)
        assert [h.ids for h in hypotheses] == [h.ids for h in alone]


def test_length_limit_and_penalty() -> None:
    assert length_limit(1) >= 10
    assert all(length_limit(n) > length_limit(n - 1) for n in range(2, 50))
    assert length_penalty(1, 1.0) == 1.0 and length_penalty(9, 0.0) == 1.0
    assert length_penalty(7, 1.0) == pytest.approx(2.0)


def test_specials_are_never_predicted() -> None:
    logprobs = next_logprobs(torch.randn(3, 9))
    assert torch.isinf(logprobs[:, [UNK, PAD, BOS]]).all()
    torch.testing.assert_close(logprobs.exp().sum(-1), torch.ones(3))

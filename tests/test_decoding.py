"""Search finds what it should, alone or in company, and scores it rightly."""

from __future__ import annotations

import itertools
import math
import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.decode_invariance import differences
from tests.toy import ROOT, ToyRun, tiny_model
from translator.batching import pad_and_end
from translator.decoding import (
    GREEDY,
    Hypothesis,
    Search,
    branch,
    decode_all,
    draw,
    forced_logprobs,
    length_limit,
    length_penalty,
    next_logprobs,
    write,
)
from translator.errors import UserError
from translator.model import Transformer
from translator.tokenizer import BOS, EOS, PAD, UNK
from translator.translate import Translator

MODELS = [tiny_model(seed=seed, target_vocabulary=9) for seed in range(4)]
models = st.sampled_from(MODELS)
sentence = st.lists(st.integers(4, 29), max_size=6)
sentences = st.lists(sentence, min_size=1, max_size=6)
searches = st.builds(
    Search,
    beam=st.integers(1, 5),
    penalty=st.sampled_from(["gnmt", "average"]),
    alpha=st.sampled_from([0.0, 0.6, 1.0]),
    min_length=st.integers(0, 4),
    max_length=st.none() | st.integers(4, 7),
)
samplings = st.builds(
    Search,
    temperature=st.floats(0.3, 2.0),
    top_k=st.integers(0, 5),
    top_p=st.floats(0.3, 1.0),
    seed=st.integers(0, 99),
)


def batch(sources: list[list[int]]) -> torch.Tensor:
    return pad_and_end(sources)


def alone(model: Transformer, source: list[int], search: Search = GREEDY) -> list[Hypothesis]:
    [(_, found)] = decode_all(model, [source], search)
    return found


@torch.no_grad()
def forced_logprob(model: Transformer, source: list[int], ids: list[int], finished: bool = True) -> float:
    """The log-probability of a translation, in one pass without a cache."""
    read = torch.tensor([[BOS, *ids][: len(ids) + finished]])
    predicted = [*ids, EOS][: len(ids) + finished]
    logprobs = next_logprobs(model(batch([source]), read)[0])
    return sum(logprobs[t, piece].item() for t, piece in enumerate(predicted))


@torch.no_grad()
def naive_greedy(model: Transformer, source: list[int], search: Search) -> list[int]:
    """The whole sentence through the decoder again at every step."""
    ids: list[int] = []
    while len(ids) < (search.max_length or length_limit(len(source) + 1)):
        logits = model(batch([source]), torch.tensor([[BOS, *ids]]))[0, -1]
        logits[[UNK, PAD, BOS]] = -math.inf
        if len(ids) < search.min_length:
            logits[EOS] = -math.inf
        piece = int(logits.argmax())
        if piece == EOS:
            break
        ids.append(piece)
    return ids


def check(model: Transformer, source: list[int], found: list[Hypothesis], search: Search) -> None:
    """Hypotheses are well-formed and in order, and their figures are right."""
    assert 1 <= len(found) <= search.beam
    assert [h.finished for h in found] == sorted((h.finished for h in found), reverse=True)
    for part in ([h.score for h in found if h.finished is finished] for finished in (True, False)):
        assert part == sorted(part, reverse=True)
    assert len({(*h.ids, h.finished) for h in found}) == len(found)
    limit = search.max_length or length_limit(len(source) + 1)
    for h in found:
        assert all(i > EOS for i in h.ids)
        assert h.logprob == pytest.approx(forced_logprob(model, source, h.ids, h.finished), abs=1e-4)
        pieces = len(h.ids) + h.finished
        assert h.score == pytest.approx(h.logprob / length_penalty(pieces, search), abs=1e-4)
        assert search.min_length <= len(h.ids) < limit if h.finished else len(h.ids) == limit


@settings(max_examples=60)
@given(models, sentences, searches, st.integers(1, 4), st.randoms(use_true_random=False))
def test_any_search_in_any_company(
    model: Transformer, sources: list[list[int]], search: Search, batch_size: int, rng: random.Random
) -> None:
    """Batches of any size, in any order, find what each sentence finds alone, once each."""
    order = rng.sample(range(len(sources)), len(sources))
    together = list(decode_all(model, [sources[i] for i in order], search, batch_size=batch_size))
    assert sorted(i for i, _ in together) == list(range(len(sources)))
    for place, found in together:
        source = sources[order[place]]
        assert [h.ids for h in found] == [h.ids for h in alone(model, source, search)]
        check(model, source, found, search)
        if search.beam == 1:
            assert found[0].ids == naive_greedy(model, source, search)


@settings(max_examples=40)
@given(models, sentences, samplings)
def test_what_is_drawn_depends_on_the_sentence_alone(
    model: Transformer, sources: list[list[int]], search: Search
) -> None:
    for i, found in decode_all(model, sources, search, batch_size=4):
        assert [h.ids for h in found] == [h.ids for h in alone(model, sources[i], search)]
        check(model, sources[i], found, search)


def test_pieces_are_drawn_as_often_as_their_probability_says() -> None:
    logprobs = torch.tensor([0.5, 0.3, 0.15, 0.05]).log().view(1, 1, 4)
    rng = random.Random(0)

    def shares(**options: Any) -> list[float]:
        search, thrown = Search(**{"temperature": 1.0} | options), [rng.random() for _ in range(4000)]
        logprob, drawn = draw(logprobs.expand(4000, 1, 4), search, thrown)
        assert torch.equal(logprob, logprobs.expand(4000, 1, 4).gather(-1, drawn))
        return (drawn.flatten().bincount(minlength=4) / 4000).tolist()

    assert shares() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)
    assert shares(temperature=0.5) == pytest.approx([0.685, 0.247, 0.062, 0.007], abs=0.03)
    assert shares(top_k=2) == pytest.approx([0.625, 0.375, 0, 0], abs=0.03)
    assert shares(top_p=0.85) == pytest.approx([0.526, 0.316, 0.158, 0], abs=0.03)
    assert shares(top_p=0.01) == [1.0, 0, 0, 0]
    assert shares(temperature=0.01) == [1.0, 0, 0, 0]
    assert shares(top_k=2)[2:] == [0, 0]


@settings(max_examples=25)
@given(models, sentences, searches, st.lists(st.integers(4, 8), max_size=3))
def test_a_forced_prefix(model: Transformer, sources: list[list[int]], search: Search, prefix: list[int]) -> None:
    prefixes = [prefix[: i % 4] for i in range(len(sources))]
    for i, found in decode_all(model, sources, search, prefixes):
        assert all(h.ids[: len(prefixes[i])] == prefixes[i] for h in found)
        check(model, sources[i], found, search)
    everything = [h.ids for h in alone(model, sources[0], search)]
    [(_, again)] = decode_all(model, sources[:1], Search(min_length=search.min_length), [everything[0]])
    assert again[0].ids[: len(everything[0])] == everything[0]


@settings(max_examples=25)
@given(models, st.lists(st.tuples(sentence, st.lists(st.integers(4, 8), max_size=6)), max_size=5))
def test_scores_of_given_translations(model: Transformer, pairs: list[tuple[list[int], list[int]]]) -> None:
    found = dict(forced_logprobs(model, pairs, batch_size=2))
    assert sorted(found) == list(range(len(pairs)))
    for i, (source, target) in enumerate(pairs):
        assert len(found[i]) == len(target) + 1
        assert sum(found[i]) == pytest.approx(forced_logprob(model, source, target), abs=1e-4)


@pytest.mark.parametrize("penalty", ["gnmt", "average"])
@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_beam_is_exhaustive_search(penalty: Any, alpha: float, seed: int) -> None:
    search = Search(beam=100, penalty=penalty, alpha=alpha, max_length=3)
    model = tiny_model(seed=seed, target_vocabulary=7)  # three pieces beside the specials
    source = [5, 9, 6]
    every: list[tuple[float, list[int]]] = []
    for length in range(3):
        for ids in itertools.product(range(4, 7), repeat=length):
            score = forced_logprob(model, source, list(ids)) / length_penalty(length + 1, search)
            every.append((score, list(ids)))
    every.sort(key=lambda scored: -scored[0])

    found = alone(model, source, search)
    finished = [h for h in found if h.finished]
    assert [h.ids for h in finished] == [ids for _, ids in every]
    assert [h.score for h in finished] == pytest.approx([score for score, _ in every], abs=1e-4)
    cut = [h for h in found if not h.finished]
    assert sorted(h.ids for h in cut) == [list(ids) for ids in itertools.product(range(4, 7), repeat=3)]


@settings(max_examples=25)
@given(models, sentence, searches)
def test_drafts_grow_by_a_piece_a_step(model: Transformer, source: list[int], search: Search) -> None:
    for step, [draft] in enumerate(write(model, batch([source]), search), start=1):
        assert draft.done or (len(draft.live) <= search.beam and {len(ids) for ids in draft.live} == {step})
    assert draft.done and draft.best() == alone(model, source, search)


def test_branches_see_their_own_past() -> None:
    past = branch(None, torch.tensor([0]), torch.tensor([[0, 0]]))  # two hypotheses, after the begin mark
    assert past.int().tolist() == [[[1, 1, 0], [1, 0, 1]]]
    past = branch(past, torch.tensor([0]), torch.tensor([[1, 1]]))  # both go on from the second
    assert past.int().tolist() == [[[1, 0, 1, 1, 0], [1, 0, 1, 0, 1]]]


def test_length_limit_and_penalty() -> None:
    assert length_limit(1) >= 10
    assert all(length_limit(n) > length_limit(n - 1) for n in range(2, 50))
    assert length_penalty(1, Search()) == 1.0 and length_penalty(9, Search(alpha=0.0)) == 1.0
    assert length_penalty(7, Search()) == pytest.approx(2.0)
    assert length_penalty(7, Search(penalty="average")) == pytest.approx(7.0)


@pytest.mark.parametrize(
    "options", [{"beam": 0}, {"beam": 2, "temperature": 1.0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_k": -1}]
)
def test_searches_that_cannot_be(options: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="must"):
        Search(**options)


def test_specials_are_never_predicted() -> None:
    logprobs = next_logprobs(torch.randn(3, 9))
    assert torch.isinf(logprobs[:, [UNK, PAD, BOS]]).all()
    torch.testing.assert_close(logprobs.exp().sum(-1), torch.ones(3))


@pytest.mark.slow
@pytest.mark.parametrize("beam", [1, 4])
def test_real_sentences_are_translated_alike_in_any_company(toy_run: ToyRun, beam: int) -> None:
    """By the toy model, which is near a tie far more often than one that knows its language."""
    lines = (ROOT / "data" / "everyday" / "test.tsv").read_text(encoding="utf-8").splitlines()[:300]
    toy = Translator.load(toy_run.path)
    sources = [toy.english.encode(line.split("\t")[0]) for line in lines]
    found = differences(toy.model, sources, Search(beam=beam))
    print(*found.items(), sep="\n")
    assert len(found) >= 7
    assert all(changed == ties and score <= 1e-4 for changed, ties, score in found.values())

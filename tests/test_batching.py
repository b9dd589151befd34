"""Batches keep their budget and can be replayed."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from translator.batching import Example, Examples, TrainingData, ahead, collate, epoch_batches, pad_and_end
from translator.tokenizer import BOS, EOS, PAD

lengths = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=80)
ids = st.lists(st.integers(EOS + 1, 99), max_size=12)


@given(lengths, st.integers(1, 200), st.integers(0, 9), st.integers(0, 9))
def test_each_sentence_once_within_the_budget(
    lengths: list[tuple[int, int]], budget: int, seed: int, epoch: int
) -> None:
    batches = epoch_batches(lengths, budget, seed, epoch)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert batch
        longest = max(n + 1 for i in batch for n in lengths[i])
        assert len(batch) * longest <= budget or len(batch) == 1
    assert epoch_batches(lengths, budget, seed, epoch) == batches


def test_epochs_and_seeds_differ() -> None:
    lengths = [(i % 7, i % 5) for i in range(300)]
    orders = [epoch_batches(lengths, 60, seed, epoch) for seed in (1, 2) for epoch in (0, 1, 2)]
    assert all(a != b for i, a in enumerate(orders) for b in orders[:i])


def test_weights_say_how_often_a_sentence_comes() -> None:
    weights = [0.3, 1.0, 2.5]
    counts = Counter(
        i for epoch in range(400) for batch in epoch_batches([(3, 3)] * 3, 8, 0, epoch, weights) for i in batch
    )
    assert counts[1] == 400
    assert abs(counts[0] - 120) < 40 and abs(counts[2] - 1000) < 40
    assert epoch_batches([(3, 3)] * 3, 8, 0, 7, weights) == epoch_batches([(3, 3)] * 3, 8, 0, 7, weights)


def test_batches_are_nearly_full() -> None:
    lengths = [(i % 20, i % 17) for i in range(2000)]
    batches = epoch_batches(lengths, 400, 0, 0)
    tokens = sum(max(n + 1 for n in pair) for pair in lengths)
    assert len(batches) < 1.5 * tokens / 400 + 1


@given(st.lists(st.tuples(ids, ids), min_size=1, max_size=9))
def test_collate(examples: list[Example]) -> None:
    batch = collate(examples)
    assert batch.source.shape == (len(examples), max(len(s) for s, _ in examples) + 1)
    assert batch.target_in.shape == batch.target_out.shape == (len(examples), max(len(t) for _, t in examples) + 1)
    assert batch.tokens == int((batch.target_out != PAD).sum()) == int((batch.target_in != PAD).sum())
    for row, (source, target) in enumerate(examples):
        assert batch.source[row].tolist() == [*source, EOS] + [PAD] * (batch.source.size(1) - len(source) - 1)
        n = len(target)
        assert batch.target_in[row, : n + 1].tolist() == [BOS, *target]
        assert batch.target_out[row, : n + 1].tolist() == [*target, EOS]
        # What is read at a step is what was to be predicted the step before.
        assert torch.equal(batch.target_in[row, 1 : n + 1], batch.target_out[row, :n])
        assert (batch.target_out[row, n + 1 :] == PAD).all() and (batch.target_in[row, n + 1 :] == PAD).all()


many_ids = st.lists(st.integers(0, 65_535), max_size=9)


@given(st.lists(st.lists(st.tuples(many_ids, many_ids), max_size=5), max_size=5))
def test_examples_come_back_from_their_files(chunks: list[list[Example]]) -> None:
    wanted = [example for chunk in chunks for example in chunk]
    with tempfile.TemporaryDirectory() as folder:
        Examples.write(Path(folder), iter(chunks))
        examples = Examples(Path(folder))
        assert len(examples) == len(wanted)
        assert [(list(english), list(korean)) for english, korean in examples] == wanted
        assert examples.lengths.tolist() == [[len(english), len(korean)] for english, korean in wanted]
        assert examples.lengths.shape == (len(wanted), 2)
        for i in (-1, len(wanted)):
            with pytest.raises(IndexError):
                examples[i]


def test_training_data_are_batches_of_its_examples_weighted() -> None:
    examples = [([10 + i] * (i % 7 + 1), [40 + i] * (i % 5 + 1)) for i in range(20)]
    lengths = np.array([[len(english), len(korean)] for english, korean in examples])
    data = TrainingData(examples, lengths, np.array([2.0] * 10 + [1.0] * 10))
    order = data.order(30, 1, 4)
    assert order == epoch_batches(lengths, 30, 1, 4, data.weights) != data.order(30, 1, 5)
    assert Counter(i for rows in order for i in rows) == {i: 2 if i < 10 else 1 for i in range(20)}
    batch, wanted = data.batch([3, 1], epoch=0), collate([examples[3], examples[1]])
    assert torch.equal(batch.source, wanted.source) and torch.equal(batch.target_out, wanted.target_out)

    data.cut_anew = lambda i, epoch: ([i], [epoch])
    batch = data.batch([3, 1], epoch=9)
    assert batch.source.tolist() == [[3, EOS], [1, EOS]] and batch.target_out.tolist() == [[9, EOS]] * 2


@given(st.lists(st.lists(st.integers(4, 99), max_size=9), min_size=1, max_size=9))
def test_padding_adds_nothing_but_the_end_mark_and_padding(rows: list[list[int]]) -> None:
    padded = pad_and_end(rows)
    assert padded.dtype == torch.int64 and padded.size(1) == max(map(len, rows)) + 1
    assert [[i for i in row if i != PAD] for row in padded.tolist()] == [[*row, EOS] for row in rows]


@given(st.lists(st.integers(1, 9), max_size=20), st.integers(0, 5), st.integers(0, 20))
def test_made_ahead_or_not_the_items_are_the_same(items: list[int], count: int, wanted: int) -> None:
    assert list(ahead(iter(items), count)) == items
    taken = ahead(iter(items), count)
    assert [item for item, _ in zip(taken, range(wanted), strict=False)] == items[:wanted]


def test_a_mistake_made_ahead_reaches_the_caller() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("here")

    found = ahead(items(), 3)
    assert next(found) == 1
    with pytest.raises(ValueError, match="here"):
        next(found)

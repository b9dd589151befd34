"""chrF++ is what it should be, and the head to look at is found."""

from __future__ import annotations

from itertools import product
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.toy import tiny_model, toy_pairs
from translator.attention import capture
from translator.scoring import aligning_head, chrf, mutual_information
from translator.tokenizer import BOS, EOS

KOREAN = [korean for _, korean in toy_pairs()][:40]


def test_perfect_and_worthless() -> None:
    assert chrf(KOREAN, KOREAN) == pytest.approx(100.0)
    assert chrf(["xyz"] * len(KOREAN), KOREAN) < 5


def test_spacing_counts() -> None:
    assert chrf(["저는사과를좋아해요."], ["저는 사과를 좋아해요."]) < 100


ids = st.lists(st.integers(0, 5), min_size=1, max_size=40)


@given(ids, st.randoms(use_true_random=False))
def test_mutual_information(values: list[int], random: Random) -> None:
    a = torch.tensor(values)
    b = torch.tensor(random.sample(values, len(values)))
    alike, shuffled = mutual_information(a, 7 - 2 * a), mutual_information(a, b)
    assert -1e-9 <= shuffled <= alike + 1e-9  # a renaming tells all, a permutation no more than that
    assert shuffled == pytest.approx(mutual_information(b, a))
    assert mutual_information(a, torch.zeros_like(a)) == pytest.approx(0)


def test_the_aligning_head_is_the_same_sentence_by_sentence() -> None:
    rng = Random(1)
    examples = [
        ([rng.randrange(4, 30) for _ in range(length)], [rng.randrange(4, 24) for _ in range(length + 1)])
        for length in range(1, 12)
    ]
    for seed in range(3):
        model = tiny_model(seed=seed)
        pairs: dict[tuple[int, int], list[tuple[int, int]]] = {}
        for source, target in examples:
            with torch.inference_mode(), capture(model) as captured:
                model(torch.tensor([[*source, EOS]]), torch.tensor([[BOS, *target]]))
            for layer, head in product(range(2), range(2)):
                weights = captured[f"decoder.{layer}.cross_attention"][0].weights[0, head]
                for step, piece in enumerate(target):
                    seen = [*source, EOS][int(weights[step].argmax())]
                    pairs.setdefault((layer, head), []).append((seen, piece))
        values = {place: mutual_information(*torch.tensor(seen).T) for place, seen in pairs.items()}
        assert aligning_head(model, examples, batch_size=4) == max(values, key=lambda place: values[place])

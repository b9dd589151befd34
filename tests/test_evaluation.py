"""Evaluation: sacreBLEU's scores from counts, intervals, comparisons, faults."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toy import toy_pairs
from translator.corpus import Pair
from translator.errors import UserError
from translator.evaluation import (
    RESAMPLES,
    Evaluation,
    compare,
    details,
    evaluate,
    metrics,
    summary,
    to_json,
)
from translator.scoring import chrf

PAIRS = toy_pairs()[:200]
KOREAN = [korean for _, korean in PAIRS]


def spoilt(share: float, seed: int = 0) -> list[str]:
    """The references, a share of them with a wrong first word."""
    random = Random(seed)
    return [f"틀린 {korean.split(' ', 1)[1]}" if random.random() < share else korean for korean in KOREAN]


texts = st.one_of(st.text(max_size=30), st.sampled_from(KOREAN), st.text("가나 .a1", max_size=40))
triples = st.lists(st.tuples(texts, texts, texts, st.booleans()), min_size=1, max_size=8)


def evaluation_of(rows: list[tuple[str, str, str, bool]]) -> Evaluation:
    return evaluate([(en, ko) for en, ko, _, _ in rows], [h for _, _, h, _ in rows], [f for *_, f in rows])


@given(triples)
def test_scores_are_sacrebleus_for_any_text(rows: list[tuple[str, str, str, bool]]) -> None:
    this = evaluation_of(rows)
    hypotheses, references = [h for _, _, h, _ in rows], [ko for _, ko, _, _ in rows]
    for name, metric in metrics().items():
        wanted = metric.corpus_score(hypotheses, [references]).score
        assert this.measures[name].of() == pytest.approx(wanted, abs=1e-6)
        assert this.measures[name].signature == str(metric.get_signature())
    exact = sum(h == r for h, r in zip(hypotheses, references, strict=True)) / len(rows)
    assert this.measures["exact match"].of() == pytest.approx(100 * exact)
    for found, hypothesis, reference in zip(this.chrf.each, hypotheses, references, strict=True):
        assert found == pytest.approx(chrf([hypothesis], [reference]), abs=1e-6)


@settings(max_examples=25)
@given(triples)
def test_any_text_can_be_evaluated_and_told(rows: list[tuple[str, str, str, bool]]) -> None:
    this = evaluation_of(rows)
    other = evaluate(this.pairs, list(this.hypotheses)[::-1])
    figures = json.loads(json.dumps(to_json(this, other)))
    assert all(0 <= figure["score"] <= 100 + 1e-6 for name, figure in figures.items() if name != "length ratio")
    assert summary(this, other) and details(this)
    assert figures["over-long"]["score"] == pytest.approx(100 * sum(not f for *_, f in rows) / len(rows))


@given(triples)
def test_lengths_partition_the_sentences(rows: list[tuple[str, str, str, bool]]) -> None:
    this = evaluation_of(rows)
    assert sum(count for count, _ in this.by_length().values()) == len(rows)
    best, worst = this.best_and_worst()
    assert not set(best) & set(worst)
    assert sorted(this.chrf.each[best])[::-1] == list(this.chrf.each[best])


def test_lengths_are_of_the_english() -> None:
    pairs = [(" ".join(["word"] * words), "말") for words in (0, 1, 5, 6, 10, 11, 20, 21, 40, 41, 90)]
    hypotheses = ["말" if len(english.split()) > 40 else "" for english, _ in pairs]
    assert evaluate(pairs, hypotheses).by_length() == {
        "1 to 5": (3, 0), "6 to 10": (2, 0), "11 to 20": (2, 0), "21 to 40": (2, 0),
        "41 or more": (2, pytest.approx(100)),
    }  # fmt: skip


@pytest.mark.parametrize("share", [0.0, 0.02, 0.3, 1.0])
def test_intervals_hold_the_score_and_shrink_with_more_sentences(share: float) -> None:
    hypotheses = spoilt(share)
    this = evaluate(PAIRS, hypotheses)
    more = evaluate(PAIRS * 9, hypotheses * 9)
    for name, measure in this.measures.items():
        low, high = measure.interval
        assert low - 1e-9 <= measure.of() <= high + 1e-9
        assert len(measure.resampled) == RESAMPLES
        narrow_low, narrow_high = more.measures[name].interval
        assert narrow_high - narrow_low <= (high - low) * 0.5 + 1e-9  # a third, for nine times as many


def test_resamples_are_corpora_of_the_sentences() -> None:
    """The mean of a share over resamples is the share, its deviation that of a binomial."""
    exact = evaluate(PAIRS, spoilt(0.3)).measures["exact match"]
    share = exact.of() / 100
    assert exact.resampled.mean() == pytest.approx(exact.of(), abs=0.5)
    assert exact.resampled.std() == pytest.approx(100 * (share * (1 - share) / len(PAIRS)) ** 0.5, rel=0.1)


def test_a_system_is_not_better_than_itself() -> None:
    this, same = evaluate(PAIRS, spoilt(0.3)), evaluate(PAIRS, spoilt(0.3))
    for name in this.measures:
        found = compare(this.measures[name], same.measures[name])
        assert (found.difference, found.p_better, found.p_worse) == (0, 1, 1)


def test_a_better_system_is_significantly_better() -> None:
    good, bad = evaluate(PAIRS, spoilt(0.2)), evaluate(PAIRS, spoilt(0.6))
    for name in good.measures:
        found, reverse = (compare(a.measures[name], b.measures[name]) for a, b in ((good, bad), (bad, good)))
        assert found.difference > 0 and found.p_better < 0.01 and found.p_worse > 0.99
        assert (reverse.difference, reverse.p_better, reverse.p_worse) == (
            -found.difference, found.p_worse, found.p_better,
        )  # fmt: skip


def test_systems_that_differ_by_chance_alone_are_seldom_called_different() -> None:
    significant = 0
    for seed in range(20):
        a, b = (evaluate(PAIRS, spoilt(0.3, seed=2 * seed + i)).measures["chrF++"] for i in (0, 1))
        found = compare(a, b)
        significant += found.p_better < 0.05
    assert significant <= 4  # 1 expected


def test_pairing_finds_what_the_intervals_alone_do_not() -> None:
    """A few sentences repaired and none broken: the intervals overlap, yet the system is better."""
    worse = spoilt(0.3)
    better = [r if i % 5 == 0 else h for i, (h, r) in enumerate(zip(worse, KOREAN, strict=True))]
    a, b = (evaluate(PAIRS, hypotheses).measures["chrF++"] for hypotheses in (better, worse))
    assert a.interval[0] < b.interval[1]
    assert compare(a, b).p_better < 0.05


@pytest.mark.parametrize(
    ("english", "reference", "found", "faults"),
    [
        ("Hi.", "안녕.", "", {"empty"}),
        ("", "", "", set()),
        ("Hi.", "안녕.", "나는 나는 나는", {"repeating"}),
        ("Hi.", "안녕.", "나는나는 나 는", {"repeating"}),
        ("Ha ha ha!", "하하하하하하!", "ㅋㅋㅋㅋㅋㅋ!", set()),
        ("Hi.", "안녕.", "1212121212", set()),
        ("I use Python.", "파이썬을 쓴다.", "python을 쓴다.", {"untranslated"}),
        ("I use Python.", "Python을 쓴다.", "Python을 쓴다.", set()),
        ("I use it.", "쓴다.", "KBS를 쓴다.", set()),  # invented, not left
        ("Plan A.", "가 안.", "A 안.", set()),  # a letter
    ],
)
def test_faults(english: str, reference: str, found: str, faults: set[str]) -> None:
    this = evaluate([(english, reference), PAIRS[0]], [found, KOREAN[0]], [True, True])
    assert this.faults == {
        name: 50 if name in faults else 0 for name in ("empty", "over-long", "repeating", "untranslated")
    }


def test_length_ratio() -> None:
    pairs: list[Pair] = [("a", "가나"), ("b", "가나다라")]
    assert evaluate(pairs, ["가", "나다"]).length_ratio == 0.5


def test_what_cannot_be_compared() -> None:
    with pytest.raises(UserError, match=r"1 translations .* 200 references"):
        evaluate(PAIRS, ["a"])
    with pytest.raises(UserError, match="no sentences"):
        evaluate([], [])
    few = evaluate(PAIRS[:3], KOREAN[:3])
    with pytest.raises(UserError, match="3 sentences cannot be compared with 200"):
        compare(few.chrf, evaluate(PAIRS, KOREAN).chrf)


def test_the_table_fits_a_narrow_terminal() -> None:
    this, other = evaluate(PAIRS, spoilt(0.1), [True] * 200), evaluate(PAIRS, spoilt(0.5), [True] * 200)
    assert max(map(len, summary(this).splitlines())) <= 88
    assert max(map(len, summary(this, other).splitlines())) <= 88
    assert np.all([name in summary(this) for name in to_json(this)])

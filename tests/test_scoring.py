"""Scores are sacreBLEU's, and say so."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toy import toy_pairs
from translator.errors import UserError
from translator.scoring import chrf, score

KOREAN = [korean for _, korean in toy_pairs()][:40]


def test_perfect_and_worthless() -> None:
    for s in score(KOREAN, KOREAN):
        assert s.value == pytest.approx(100.0)
    for s in score(["xyz"] * len(KOREAN), KOREAN):
        assert s.value < 5


def test_signatures() -> None:
    scores = {s.name: s for s in score(KOREAN[:3], KOREAN[3:6])}
    assert set(scores) >= {"chrF++", "BLEU char", "exact match"}
    assert "nw:2" in scores["chrF++"].signature and "nc:6" in scores["chrF++"].signature
    assert "tok:char" in scores["BLEU char"].signature
    assert all("version:" in s.signature for s in scores.values() if s.name != "exact match")
    assert scores["exact match"].signature == ""
    assert scores["chrF++"].value == pytest.approx(chrf(KOREAN[:3], KOREAN[3:6]))


@settings(max_examples=15)
@given(st.lists(st.tuples(st.sampled_from(KOREAN), st.sampled_from([*KOREAN, ""])), min_size=1, max_size=6))
def test_scores_are_percentages_and_exact_match_counts(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = zip(*pairs, strict=True)
    scores = {s.name: s.value for s in score(hypotheses, references)}
    assert all(0 <= value <= 100 + 1e-6 for value in scores.values())
    assert scores["exact match"] == pytest.approx(100 * sum(h == r for r, h in pairs) / len(pairs))


def test_spacing_counts() -> None:
    assert chrf(["저는사과를좋아해요."], ["저는 사과를 좋아해요."]) < 100


def test_counts_must_agree() -> None:
    with pytest.raises(UserError, match=r"2 translations .* 1 references"):
        score(["a", "b"], ["a"])

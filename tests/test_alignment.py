"""Links are those of the maps, and their scores are Och & Ney's."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.everyday.grammar import error_rate
from tests.toy import ROOT, ToyRun, tiny_model, toy_pairs
from translator.checkpoint import RunDirectory
from translator.errors import UserError
from translator.inspection.alignment import (
    MEASURES,
    READINGS,
    AlignedPair,
    Gold,
    Links,
    align,
    baselines,
    hard_links,
    head_scores,
    head_table,
    learning_curves,
    pharaoh,
    read_gold,
    score_alignment,
)
from translator.inspection.model_one import ModelOne
from translator.inspection.words import Array
from translator.translate import Translator

PAIRS = toy_pairs()[::29]

links = st.sets(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=6)


@given(st.lists(st.tuples(links, links, links), min_size=1, max_size=5))
def test_scores(sentences: list[tuple[Links, Links, Links]]) -> None:
    found = [a for a, _, _ in sentences]
    gold = [Gold(sure, sure | possible) for _, sure, possible in sentences]
    score = score_alignment(found, gold)
    assert all(0 <= value <= 100 for value in (score.error_rate, score.precision, score.recall))
    if any(found) or any(g.sure for g in gold):
        # The corpus's own grammar has the formula too.
        assert score.error_rate / 100 == pytest.approx(
            error_rate(found, [g.sure for g in gold], [g.possible for g in gold])
        )
    assert score_alignment([g.sure for g in gold], gold).error_rate == 0
    assert score_alignment([g.possible for g in gold], gold).recall == 100


def test_counts_are_summed_over_the_corpus() -> None:
    gold = [Gold({(0, 0)}, {(0, 0)}), Gold({(0, 0), (1, 1), (2, 2)}, {(0, 0), (1, 1), (2, 2), (2, 1)})]
    score = score_alignment([set(), {(0, 0), (2, 1), (1, 0)}], gold)
    assert score.precision == pytest.approx(100 * 2 / 3)
    assert score.recall == pytest.approx(100 * 1 / 4)
    assert score.error_rate == pytest.approx(100 * (1 - (1 + 2) / (3 + 4)))


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 99), st.floats(0.05, 0.95))
def test_links_of_a_map(korean: int, english: int, seed: int, threshold: float) -> None:
    weights: Array = np.random.default_rng(seed).random((korean, english), dtype=np.float32)
    numbers = [2 * e for e in range(english)], [k + 7 for k in range(korean)]
    most, mutual = hard_links(weights, *numbers), hard_links(weights, *numbers, "mutual")
    enough = hard_links(weights, *numbers, "threshold", threshold)
    assert sorted(k for _, k in most) == (numbers[1] if english else [])  # one link a Korean word
    assert mutual <= most
    assert len({e for e, _ in mutual}) == len(mutual)
    for (k, row), e in product(enumerate(weights), range(english)):
        link = (2 * e, k + 7)
        assert (link in most) == (row[e] == row.max())
        assert (link in mutual) == (row[e] == row.max() == weights[:, e].max())
        assert (link in enough) == (row[e] >= threshold)


@pytest.fixture(scope="module")
def toy(toy_run: ToyRun) -> Translator:
    """The toy run as a translator."""
    return Translator.load(toy_run.path)


ODD = [*PAIRS, ("I like 뷁 milk, milk!", "저는 뷁 🙂 우유를 좋아해요."), ("...", "우유."), ("milk", "?")]


def test_many_are_aligned_as_one_by_one_and_as_the_maps_say(toy: Translator) -> None:
    parts = toy.model, toy.english, toy.korean
    many = align(*parts, ODD, batch_size=5)
    for pair, found in zip(ODD, many, strict=True):
        [alone] = align(*parts, [pair])
        maps = toy.attention(*pair, details=False)
        assert found.english == alone.english == [i for i, w in enumerate(maps.source.words) if not w.punctuation]
        assert found.korean == alone.korean == [i for i, w in enumerate(maps.target.words) if not w.punctuation]
        for measure, reading in product(MEASURES, READINGS):
            one = found.maps[measure, reading]
            np.testing.assert_allclose(one, alone.maps[measure, reading], atol=1e-5)
            shown = maps.words("cross", reading, measure, specials=False)
            np.testing.assert_allclose(one, shown.weights, atol=1e-5)
            assert [maps.source.words[i].text for i in found.english] == shown.keys
            assert [maps.target.words[i].text for i in found.korean] == shown.queries
        for layer, head in product(range(2), range(2)):
            seen = maps.measures["cross"]
            assert found.entropy[layer, head] == pytest.approx(seen["entropy"][layer][head], abs=1e-4)
            assert found.mark_share[layer, head] == pytest.approx(seen["mark_share"][layer][head], abs=1e-5)


def test_more_layers_in_the_decoder_than_in_the_encoder_and_fewer(toy: Translator) -> None:
    for encoder, decoder in ((1, 3), (3, 1)):
        model = tiny_model(toy.english.size, toy.korean.size, encoder_layers=encoder, decoder_layers=decoder)
        [found] = align(model, toy.english, toy.korean, PAIRS[:1])
        maps = Translator(model, toy.english, toy.korean, set()).attention(*PAIRS[0])
        assert len(found.maps["norms", "reads"]) == len(maps.cross) == len(maps.decoder_self) == decoder
        assert len(maps.encoder_self) == encoder


def toy_gold(path: Path) -> Path:
    """Gold alignments of PAIRS: subject, verb, object."""
    lines = []
    for english, korean in PAIRS:
        words = english.rstrip(".").split()
        negated, phrasal = len(korean.split()) == 4, "look for" in english or "looks for" in english
        verb, negation = 1 + negated, " 1-3" * negated
        lines.append(f"0-0 {len(words) - 1}-1 {verb}-2{f' {verb + 1}p2' * phrasal}{negation}\n")
    path.write_text("".join(lines), encoding="utf-8")
    return path


def test_heads_and_baselines(toy: Translator, tmp_path: Path) -> None:
    gold = read_gold(toy_gold(tmp_path / "toy.align"), PAIRS)
    aligned = align(toy.model, toy.english, toy.korean, PAIRS)
    scores = head_scores(aligned, gold)
    assert len(scores) == 2 * 2 * 2 * 2
    table = head_table(scores)
    assert [line.split()[:2] for line in table.splitlines()[1:]] == [["layer", "1"], ["layer", "2"]]
    assert all(f"{score.error_rate:.1f}" in table for score in scores.values())

    found = baselines(aligned, gold)
    bound = found["one perfect link a Korean word"].error_rate
    assert all(bound <= score.error_rate for score in [*scores.values(), *found.values()])
    assert min(score.error_rate for score in scores.values()) < found["uniform (chance)"].error_rate

    rng = np.random.default_rng(0)
    drawn = [
        score_alignment([{(rng.choice(p.english), k) for k in p.korean} for p in aligned], gold).precision
        for _ in range(200)
    ]
    assert found["uniform (chance)"].precision == pytest.approx(np.mean(drawn), abs=2)


def test_the_perfect_links_are_perfect() -> None:
    gold = [Gold({(0, 0), (1, 0)}, {(0, 0), (1, 0), (1, 1)}), Gold(set(), set())]
    nothing = np.zeros((1, 1, 3, 2), dtype=np.float32)
    maps = dict.fromkeys(product(MEASURES, READINGS), nothing)
    aligned = [
        AlignedPair([0, 1], [0, 1, 2], maps, nothing, nothing),
        AlignedPair([0, 1], [0, 1, 2], maps, nothing, nothing),
    ]
    best = min(
        score_alignment([set(zip(choice, range(3), strict=True)), {(5, 0), (5, 1), (5, 2)}], gold).error_rate
        for choice in product((0, 1, 5), repeat=3)
    )
    assert baselines(aligned, gold)["one perfect link a Korean word"].error_rate == best


def test_gold_files(tmp_path: Path) -> None:
    path = tmp_path / "x.align"
    pairs = [("I am a student.", "저는 학생이에요."), ("Hi!", "안녕!")]
    path.write_text("0-0 1p1 3-1\n\n", encoding="utf-8")
    first, second = read_gold(path, pairs)
    assert first == Gold({(0, 0), (3, 1)}, {(0, 0), (1, 1), (3, 1)}) and second == Gold(set(), set())
    for text, message in (
        ("0-0\n", "1 alignments cannot belong to 2 sentence pairs"),
        ("0-0\n0-0 2-0\n", r"line 2: 2-0 is no link \(.* 2 English and 2 Korean words\)"),
        ("0-0 x\n\n", "line 1: x is no link"),
        ("0:0\n\n", "line 1: 0:0 is no link"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            read_gold(path, pairs)
    with pytest.raises(UserError, match="no such file"):
        read_gold(tmp_path / "absent", pairs)


@given(links)
def test_pharaoh_is_read_back(tmp_path_factory: pytest.TempPathFactory, found: Links) -> None:
    path = tmp_path_factory.getbasetemp() / "pharaoh.align"
    path.write_text(pharaoh(found) + "\n", encoding="utf-8")
    assert read_gold(path, [("a b c d", "가 나 다 라")]) == [Gold(found, found)]


def test_the_bundled_gold_is_read_whole() -> None:
    for name in ("valid", "test"):
        lines = (ROOT / f"data/everyday/{name}.tsv").read_text(encoding="utf-8").splitlines()
        pairs = [(line.split("\t")[0], line.split("\t")[1]) for line in lines]
        gold = read_gold(ROOT / f"data/everyday/{name}.align", pairs)
        assert sum(len(g.sure) for g in gold) > 4 * len(pairs)


def test_model_one_learns_which_word_is_said_as_which() -> None:
    counted = ModelOne(toy_pairs())
    for english, korean in (("apples", "사과를"), ("Minsu", "민수는"), ("sell", "팔지")):
        assert counted.chance(english.lower(), korean) > 0.5
    pairs = [("Minsu buys milk!", "민수는 우유를 사요."), ("Minsu", "뷁 ."), ("", "")]
    assert counted.align(pairs) == [{(0, 0), (2, 1), (1, 2)}, set(), set()]
    for english in ("milk", "buys"):  # probabilities of what it may be said as
        assert sum(counted.chance(english, korean) for korean in counted.korean) == pytest.approx(1)


def test_curves_go_through_the_snapshots(toy: Translator, toy_run: ToyRun, tmp_path: Path) -> None:
    gold = read_gold(toy_gold(tmp_path / "toy.align"), PAIRS)
    directory = RunDirectory(toy_run.path)
    assert toy.aligning_head is not None
    curves = learning_curves(directory, PAIRS, gold, toy.aligning_head)
    assert curves["step"] == [step for step, _ in directory.snapshots()] and len(curves["step"]) == 3
    last = directory.load_model(directory.snapshots()[-1][1])
    scores = head_scores(align(last, toy.english, toy.korean, PAIRS), gold)
    assert curves["error_rate"][-1] == scores[toy.aligning_head].error_rate
    assert curves["entropy"][-1] < curves["entropy"][0]
    assert all(0 <= share <= 1 for share in curves["mark_share"])
    assert json.loads(json.dumps(curves)) == curves

"""Other programs read the maps too, and find the same in them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import get_args

import jsonschema
import numpy as np
import pytest

from tests.toy import ToyRun
from translator.checkpoint import RunDirectory
from translator.errors import UserError
from translator.inspection.alignment import Method, align, hard_links
from translator.inspection.bundle import SCHEMA
from translator.inspection.exports import best_links, read_sentences, write_bertviz, write_csv, write_sentences
from translator.inspection.history import add_history
from translator.inspection.maps import KINDS, AttentionMaps
from translator.scoring import AligningHead
from translator.translate import Translator

PAIR = 'Minsu doesn\'t "look for", milk!', "민수는 뷁, 우유를 찾지 않아요."


@pytest.fixture(scope="module")
def maps(toy_run: ToyRun) -> AttentionMaps:
    """Maps of a pair with commas, quotes and byte pieces."""
    return Translator.load(toy_run.path).attention(*PAIR)


def test_the_table_gives_every_weight_back(maps: AttentionMaps, tmp_path: Path) -> None:
    write_csv(maps, tmp_path / "x.csv")
    with open(tmp_path / "x.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(maps.arrays[f"{kind}.weights"].size for kind in KINDS)
    for kind in KINDS:
        english = kind == "encoder_self"
        for column, name in (("weight", "weights"), ("norm", "norms")):
            found = np.full_like(maps.arrays[f"{kind}.{name}"], -1)
            for row in rows:
                if row["attention"] == kind:
                    place = tuple(int(row[axis]) for axis in ("layer", "head", "query", "key"))
                    found[place] = np.float32(row[column])
                    query, key = place[2:]
                    assert row["reads"] == (maps.source.pieces if english else maps.reads)[query]
                    assert row["predicts"] == ("" if english else maps.predicts[query])
                    assert row["key_piece"] == (maps.reads if kind == "decoder_self" else maps.source.pieces)[key]
            assert np.array_equal(found, maps.arrays[f"{kind}.{name}"])


def test_the_links_are_those_of_the_aligner(maps: AttentionMaps, toy_run: ToyRun) -> None:
    toy = Translator.load(toy_run.path)
    [aligned] = align(toy.model, toy.english, toy.korean, [PAIR])
    before = maps.best
    for best in (AligningHead(0, 1), AligningHead(1, 0, "reads", "norms")):
        maps.best = best
        links = best_links(maps)
        assert links == aligned.links(best)
        assert {korean for _, korean in links} == {0, 1, 3, 4, 5}  # not the comma, not the full stop
        weights = aligned.maps[best.measure, best.reading][best.layer, best.head]
        for method in get_args(Method):
            wanted = hard_links(weights, aligned.english, aligned.korean, method)
            assert best_links(maps, method) == wanted and (method != "threshold" or wanted != links)
    maps.best = before


def test_bertviz(maps: AttentionMaps, tmp_path: Path) -> None:
    write_bertviz(maps, tmp_path / "x.json")
    data = json.loads((tmp_path / "x.json").read_text(encoding="utf-8"))
    for name, kind in (("encoder", "encoder_self"), ("decoder", "decoder_self"), ("cross", "cross")):
        layers = np.array(data[f"{name}_attention"], dtype=np.float32)
        assert np.array_equal(layers[:, 0], maps.arrays[f"{kind}.weights"])  # layers, each a batch of one
    assert data["encoder_tokens"] == maps.source.pieces and data["decoder_tokens"] == maps.reads


def test_many_sentences_have_one_index(toy_run: ToyRun, tmp_path: Path) -> None:
    toy = Translator.load(toy_run.path)
    texts = ["I like milk.", "I like milk!", "🙂"]
    path = write_sentences((toy.attention(text, details=False) for text in texts), tmp_path)
    index = json.loads(path.read_text(encoding="utf-8"))
    assert [entry["source"] for entry in index] == texts
    assert [entry["target"] for entry in index] == toy.translate(texts)
    assert len({entry["file"] for entry in index}) == 3
    for entry in index:
        loaded = AttentionMaps.load(tmp_path / entry["file"])
        assert loaded.target.text == entry["target"]
        assert loaded.logprobs.sum() == pytest.approx(entry["logprob"], abs=1e-3)


def test_files_of_sentences(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("a b\n\n \nc\t\nd\t가\t나\n", encoding="utf-8")
    assert read_sentences(path) == [("a b", None), ("c", ""), ("d", "가\t나")]
    for text, message in (
        ("", "holds no sentence"),
        (" \n\t\n", "no sentence"),
        ("a\n\t가\n", "line 2: no English"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=rf"x\.txt.*{message}"):
            read_sentences(path)
    with pytest.raises(UserError, match="absent: no such file"):
        read_sentences(tmp_path / "absent")


def test_history(toy_run: ToyRun, tmp_path: Path) -> None:
    directory = RunDirectory(toy_run.path)
    found = Translator.load(toy_run.path).attention("I like milk.")
    add_history(found, directory)
    assert found.history is not None
    steps = [step for step, _ in directory.snapshots()]
    assert found.history["steps"] == steps == [0, steps[1], 300]
    last = Translator.load(toy_run.path)
    last.model = directory.load_model(directory.snapshots()[-1][1])
    again = last.attention("I like milk.", found.target.text)
    for kind in KINDS:
        seen = found.arrays[f"history.{kind}.weights"]
        assert seen.shape == (3, *found.arrays[f"{kind}.weights"].shape)
        np.testing.assert_allclose(seen[-1], again.arrays[f"{kind}.weights"], atol=1e-5)
        np.testing.assert_allclose(seen.sum(-1), 1, atol=1e-5)
    curves = found.history["curves"]
    assert set(curves) == {"logprob", "entropy", "mark_share"} and curves["logprob"][0] < curves["logprob"][-1]
    manifest, _ = found.save(tmp_path, "x")
    jsonschema.validate(
        json.loads(manifest.read_text(encoding="utf-8")), json.loads(SCHEMA.read_text(encoding="utf-8"))
    )
    assert AttentionMaps.load(manifest).history == found.history

    with pytest.raises(UserError, match="no snapshots"):
        add_history(found, RunDirectory(tmp_path))

"""A corpus accounts for every pair, trains on no sentence of validation or test, and is made whole or not."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.test_layout import MODULES, imports
from tests.toy import environment, toy_pairs, write_pairs
from translator import corpus as module
from translator.cleaning import letters
from translator.config import CleaningConfig, DataConfig, SourceConfig
from translator.corpus import Corpus, Pair, load_corpus, read_pairs, summary
from translator.errors import UserError

PLAIN = CleaningConfig(max_ratio=0, min_hangul=0, min_latin=0, max_repeats=0)
HELD_OUT = {"held out, beyond validation_size", "in validation or test"}


def write(folder: Path, name: str, pairs: list[Pair], **settings: Any) -> SourceConfig:
    folder.mkdir(exist_ok=True)
    return SourceConfig(str(write_pairs(folder / name, pairs)), **settings)


def load(config: DataConfig, folder: Path) -> Corpus:
    """The corpus, and whatever must hold of any."""
    corpus = load_corpus(config, folder / "cache")
    assert [path.name for path in (folder / "cache").iterdir() if path.name.endswith(".tmp")] == []
    report, train = corpus.report, list(corpus.train)
    assert report["train"] == len(train) == len(corpus.train) == len(corpus.weights) > 0
    assert report["validation"] == len(corpus.validation) > 0
    assert sum(source["kept"] for source in report["sources"]) == len(train)

    # Every pair is accounted for.
    read = sum(source["pairs"] for source in report["sources"])
    given = 0 if config.validation else len(corpus.validation)
    assert read == len(train) + given + sum(report["dropped"].values())

    # No sentence of validation or test is trained on, on either side.
    tests = [pair for source in config.test for pair in read_pairs(source)]
    held_out = {letters(side) for pair in [*corpus.validation, *tests] for side in pair}
    assert not held_out & {letters(side) for pair in train for side in pair}
    assert not {letters(s) for p in tests for s in p} & {letters(s) for p in corpus.validation for s in p}

    # The examples are real: that line of that file holds that pair.
    paths = {Path(source.path).name: Path(source.path) for source in config.sources}
    assert set(report["examples"]) == set(report["dropped"])
    for reason, examples in report["examples"].items():
        assert len(examples) == min(3, report["dropped"][reason])
        assert len({(row["file"], row["line"]) for row in examples}) == len(examples)
        for row in examples:
            line = paths[row["file"]].read_text(encoding="utf-8").split("\n")[row["line"] - 1]
            assert line == f"{row['english']}\t{row['korean']}"
    return corpus


words = st.sampled_from(["I", "am", "a", "cat", "Cat!", "...", "dog", "we", "go"])
sentences = st.lists(words, min_size=1, max_size=3).map(" ".join)
pair_lists = st.lists(st.tuples(sentences, sentences.map("뜻 {}".format) | sentences), min_size=1, max_size=40)


@settings(max_examples=25)
@given(pair_lists, pair_lists, pair_lists, pair_lists, st.integers(0, 40), st.integers(1, 5), st.data())
def test_nothing_leaks_and_nothing_is_unaccounted_for(
    one: list[Pair], two: list[Pair], valid: list[Pair], test: list[Pair], cap: int, size: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = DataConfig(
            sources=[write(folder, "one.tsv", one), write(folder, "two.tsv", two, cap=cap)],
            validation=data.draw(st.sampled_from([[], [write(folder, "valid.tsv", valid)]])),
            validation_share=0.3,
            validation_size=size,
            test=data.draw(st.sampled_from([[], [write(folder, "test.tsv", test[:4])]])),
            cleaning=replace(PLAIN, duplicates=data.draw(st.booleans()), max_repeats=data.draw(st.integers(0, 3))),
        )
        try:
            corpus = load(config, folder)
        except UserError as error:  # so little that nothing was left
            assert any(part in str(error) for part in ("no training pair", "too few", "no validation pair"))
            assert os.listdir(folder / "cache") == []
            return
        if cap:
            assert corpus.report["sources"][1]["kept"] <= cap
        if not config.validation:
            assert len(corpus.validation) <= size


def test_each_rule_of_the_whole_corpus(tmp_path: Path) -> None:
    one = [("Hello there", "안녕 거기"), ("hello, there!", "안녕, 거기."), ("Hello there", "여보세요")]
    one += [(f"number {n}", "같은 말") for n in "abcde"]
    two = [("HELLO THERE", "안녕 거기"), ("Good day", "좋은 날"), ("...", "안녕"), ("see you", "봐요")]
    sources = [write(tmp_path, "one.tsv", one), write(tmp_path, "two.tsv", two)]
    validation = [write(tmp_path, "valid.tsv", [("See you!", "또 봐요"), ("It rains", "비가 와")])]
    test = [write(tmp_path, "test.tsv", [("it RAINS", "비다"), ("Bye", "좋은, 날")])]
    rules = replace(PLAIN, max_repeats=2)
    corpus = load(DataConfig(sources, validation=validation, test=test, cleaning=rules), tmp_path)
    assert corpus.report["dropped"] == {
        "a side without letters": 1, "in validation or test": 2, "duplicate": 2, "one side repeated": 3,
    }  # fmt: skip
    assert list(corpus.train) == [one[0], one[2], one[3], one[4]]
    assert corpus.validation == [("See you!", "또 봐요")]
    assert corpus.report["validation pairs dropped, in test"] == 1
    assert corpus.report["test"] == {"test.tsv": 2}
    text = summary(corpus.report)
    for part in (
        "8  one.tsv: 4 kept",
        "4  two.tsv: 0 kept",
        "-2  duplicate",
        "1  for validation",
        "4  for training",
    ):
        assert part in text

    corpus = load(DataConfig(sources, validation=validation, cleaning=replace(PLAIN, duplicates=False)), tmp_path)
    assert len(corpus.train) == 10 and "duplicate" not in corpus.report["dropped"]


def test_of_many_dropped_pairs_three_are_shown(tmp_path: Path) -> None:
    for count in (2, 66, 200):
        pairs = [*many(9), *[(f"<b>cat {n}</b>", "고양이") for n in range(count)]]
        source = write(tmp_path, f"{count}.tsv", pairs)
        corpus = load(DataConfig([source], validation_share=0.3), tmp_path)
        assert corpus.report["dropped"] == {"markup or web address": count}


def test_bad_lines_are_counted(tmp_path: Path) -> None:
    source = write(tmp_path, "a.tsv", toy_pairs()[:20])
    with open(source.path, "a", encoding="utf-8") as file:
        file.write("no tab\n")
    validation = [write(tmp_path, "v.tsv", toy_pairs()[20:25])]
    config = DataConfig([source], validation=validation)
    with pytest.raises(UserError, match="line 21: 1 column"):
        load_corpus(config, tmp_path / "cache")
    assert os.listdir(tmp_path / "cache") == []
    corpus = load(replace(config, skip_bad_lines=True), tmp_path)
    assert corpus.report["sources"][0]["bad lines skipped"] == 1
    assert "1 bad lines skipped" in summary(corpus.report)


def test_a_corpus_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.sources is empty"):
        load_corpus(DataConfig(), tmp_path)
    one = write(tmp_path, "p.tsv", [("a cat", "고양이")])
    other = write(tmp_path, "q.tsv", [("...", "...")])
    for config, wanted in [
        (DataConfig([one], validation=[one]), "no training pair is left after cleaning; dropped: 1 in validation"),
        (DataConfig([other]), "no training pair is left after cleaning; dropped: 1 a side without letters"),
        (DataConfig([one], validation_share=1e-9), "too few training pairs, 1, .* data.validation_share"),
        (
            DataConfig([other], validation=[one], test=[one]),
            "no validation pair is left.* all of them in data.test",
        ),
    ]:
        with pytest.raises(UserError, match=wanted):
            load_corpus(config, tmp_path / "cache")
    assert os.listdir(tmp_path / "cache") == []


# ---- splits and caps depend on the text alone -----------------------------------------------------------------


def many(count: int, word: str = "cat") -> list[Pair]:
    return [(f"{word} {n} sits", f"{n} 번째 {word} 앉다") for n in range(count)]


@settings(max_examples=8)
@given(st.integers(30, 200), st.integers(0, 150), st.sampled_from([2, 5, 400]), st.randoms())
def test_a_sentence_keeps_its_side_however_the_corpus_grows(
    n: int, more: int, size: int, rng: random.Random
) -> None:
    config = DataConfig(validation_share=0.2, validation_size=size, cleaning=PLAIN)
    with tempfile.TemporaryDirectory() as name:
        small = load(replace(config, sources=[write(Path(name), "a.tsv", many(n))]), Path(name))
        grown = [*many(n), *many(more, "dog")]
        rng.shuffle(grown)
        large = load(replace(config, sources=[write(Path(name), "b.tsv", grown)]), Path(name))
    assert set(small.train) <= set(large.train)
    assert not set(small.validation) & set(large.train)
    assert set(large.validation) & set(many(n)) <= set(small.validation)
    held = len(large.validation) + large.report["dropped"].get("held out, beyond validation_size", 0)
    assert held + len(large.train) == len(grown) and held > 0
    if size >= held:
        assert set(small.validation) <= set(large.validation)


def test_what_shares_a_sentence_with_those_held_out_is_not_trained_on(tmp_path: Path) -> None:
    for name, pairs in {
        "korean": [(f"cat {n}", f"뜻 {n % 50}") for n in range(300)],
        "across": [(f"cat {n}", f"cat {n + 1}") for n in range(300)],
        "back": [(f"cat {n + 1}", f"cat {n}") for n in range(300)],
    }.items():
        source = write(tmp_path, f"{name}.tsv", pairs)
        rules = replace(PLAIN, numbers=False)
        corpus = load(DataConfig([source], validation_share=0.05, cleaning=rules), tmp_path)
        assert corpus.report["dropped"]["in validation or test"] > 0


def test_the_share_held_out_is_what_was_asked_for(tmp_path: Path) -> None:
    source = write(tmp_path, "a.tsv", many(4000))
    for share in (0.01, 0.25):
        corpus = load(DataConfig([source], validation_share=share, cleaning=PLAIN), tmp_path)
        assert abs(len(corpus.validation) - 4000 * share) < 4 * (4000 * share) ** 0.5


@settings(max_examples=8)
@given(st.integers(1, 60), st.integers(0, 100), st.randoms())
def test_a_cap_keeps_the_same_pairs_in_any_order_and_company(cap: int, more: int, rng: random.Random) -> None:
    pairs, shuffled = many(80), many(80)
    rng.shuffle(shuffled)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        validation = [write(folder, "valid.tsv", many(3, "fox"))]
        config = DataConfig(validation=validation, cleaning=PLAIN)
        alone = load(replace(config, sources=[write(folder, "a.tsv", pairs, cap=cap)]), folder)
        sources = [write(folder, "c.tsv", many(more + 1, "dog")), write(folder, "b.tsv", shuffled, cap=cap)]
        mixed = load(replace(config, sources=sources), folder)
        kept = [pair for pair in mixed.train if pair in set(pairs)]
        assert set(kept) == set(alone.train) and len(alone.train) == cap
        assert kept == [pair for pair in shuffled if pair in set(kept)]
        fewer = load(replace(config, sources=[write(folder, "a.tsv", pairs, cap=max(1, cap - 1))]), folder)
        assert set(fewer.train) <= set(alone.train)
        of_test = [read_pairs(write(folder, f"{n}.tsv", p, cap=cap)) for n, p in enumerate([pairs, shuffled])]
        assert of_test[0] == of_test[1] and len(of_test[0]) == cap


def test_read_pairs_normalises_and_keeps_all_but_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("\ufeffＨi  you\u200b\t하\u1112\u1161\n\na\t\n\tb\na\t\n", encoding="utf-8")
    assert read_pairs(SourceConfig(str(path))) == [("Hi you", "하하"), ("a", ""), ("", "b"), ("a", "")]


def test_a_pair_has_the_weight_of_the_first_source_that_holds_it(tmp_path: Path) -> None:
    sources = [
        write(tmp_path, "a.tsv", [("one", "하나"), ("two", "둘")], weight=2),
        write(tmp_path, "b.tsv", [("two", "둘"), ("three", "셋")], weight=0.5),
    ]
    corpus = load(DataConfig(sources, validation=[write(tmp_path, "valid.tsv", [("four", "넷")])]), tmp_path)
    assert dict(zip(corpus.train, corpus.weights, strict=True)) == {
        ("one", "하나"): 2, ("two", "둘"): 2, ("three", "셋"): 0.5,
    }  # fmt: skip


# ---- the cache ------------------------------------------------------------------------------------------------


def toy_data(folder: Path) -> DataConfig:
    return DataConfig(
        [write(folder, "train.tsv", toy_pairs())],
        validation_share=0.1,
        test=[write(folder, "test.tsv", toy_pairs()[:9])],
    )


def same(one: Corpus, other: Corpus) -> bool:
    return (
        list(one.train) == list(other.train)
        and one.validation == other.validation
        and one.report == other.report
        and np.array_equal(one.weights, other.weights)
    )


def test_a_corpus_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toy_data(tmp_path)
    first = load(config, tmp_path)

    def never(*args: object) -> None:
        raise AssertionError("read anew")

    with monkeypatch.context() as patch:
        patch.setattr(module, "read_source", never)
        assert same(load_corpus(config, tmp_path / "cache"), first)
        # Nor for what does not change the pairs.
        weighted = replace(config, sources=[replace(config.sources[0], weight=2)], max_pieces=9)
        again = load_corpus(weighted, tmp_path / "cache")
        assert list(again.train) == list(first.train) and set(again.weights) == {2.0}
        assert again.report["fingerprint"] != first.report["fingerprint"]
    assert len(os.listdir(tmp_path / "cache")) == 1
    elsewhere = load_corpus(toy_data(tmp_path / "other"), tmp_path / "other" / "cache")
    assert same(elsewhere, first) and elsewhere.report == first.report


def test_a_change_of_the_code_makes_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = toy_data(tmp_path)
    used, left = set[str](), {"corpus"}
    while left:
        used |= left
        found = {i.removeprefix("translator.") for name in left for i in imports(MODULES[name])}
        left = (found & set(MODULES)) - used
    keys = {module._key(config)}
    read = Path.read_bytes
    for name in used - {"errors", "atomic", "config"}:  # which change no pair
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda path, name=name: read(path) + b"#" * (path.stem == name))
            keys.add(module._key(config))
    assert len(keys) == 1 + len(used - {"errors", "atomic", "config"}) >= 7


@pytest.mark.parametrize("name", ["report.json", "train.arrow", "validation.json"])
def test_a_damaged_cache_is_named(name: str, tmp_path: Path) -> None:
    config = toy_data(tmp_path)
    wanted = list(load(config, tmp_path).train)
    (folder,) = (tmp_path / "cache").iterdir()
    for left in (0, 300):
        (folder / name).write_bytes((folder / name).read_bytes()[:left])
        with pytest.raises(UserError, match=rf"{folder}: is damaged \(.*\); delete it") as error:
            load_corpus(config, tmp_path / "cache")
        assert "\n" not in str(error.value)
    shutil.rmtree(folder)
    assert list(load(config, tmp_path).train) == wanted


def test_whatever_changes_the_pairs_makes_another(tmp_path: Path) -> None:
    config = toy_data(tmp_path)
    seen = {load(config, tmp_path).report["fingerprint"]}
    for n, changed in enumerate(
        [
            replace(config, cleaning=CleaningConfig(max_characters=22)),
            replace(config, validation_share=0.3),
            replace(config, validation=[write(tmp_path, "v.tsv", toy_pairs()[30:60])]),
            replace(config, sources=[replace(config.sources[0], cap=99)]),
            replace(config, sources=[*config.sources, write(tmp_path, "more.tsv", [("Go", "가")])]),
            replace(config, sources=[write(tmp_path, "turned.tsv", toy_pairs()[::-1])]),
            replace(config, sources=[replace(config.sources[0], weight=0.5)]),
            replace(config, test=[write(tmp_path, "t.tsv", toy_pairs()[:99])]),
        ],
        start=2,
    ):
        seen.add(load(changed, tmp_path).report["fingerprint"])
        assert len(seen) == n
    assert len(load(replace(config, validation_size=3), tmp_path).validation) == 3
    times = os.stat(config.sources[0].path)
    for source, pairs in [(config.sources[0], toy_pairs()[:-1]), (config.test[0], toy_pairs()[:30])]:
        write_pairs(Path(source.path), pairs)
        os.utime(source.path, ns=(times.st_atime_ns, times.st_mtime_ns))
        seen.add(load(config, tmp_path).report["fingerprint"])
    assert len(seen) == 11


def test_the_mapped_pairs_are_the_pairs(tmp_path: Path) -> None:
    pairs = many(10_500)
    corpus = load(
        DataConfig([write(tmp_path, "a.tsv", pairs)], validation=[write(tmp_path, "v.tsv", many(2, "x"))]),
        tmp_path,
    )
    assert list(corpus.train) == pairs == [pair for chunk in corpus.train.chunks() for pair in chunk]
    for i in (0, 1, 9_999, 10_000, 10_499):
        assert corpus.train[i] == pairs[i]
    for i in (-1, 10_500):
        with pytest.raises(IndexError):
            corpus.train[i]


KILLED = """
import os, signal, sys, threading
from translator.config import DataConfig, SourceConfig
from translator import corpus

# Warm: the first corpus takes all imports, the second one is killed.
corpus.load_corpus(DataConfig([SourceConfig(sys.argv[1])]), corpus.Path(sys.argv[2]) / "warm")
threading.Timer(float(sys.argv[3]), os.kill, (os.getpid(), signal.SIGKILL)).start()
corpus.load_corpus(DataConfig([SourceConfig(sys.argv[1])]), corpus.Path(sys.argv[2]) / "cache")
os._exit(0)
"""


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    config = DataConfig([write(tmp_path, "a.tsv", many(6000))])
    wanted = load(config, tmp_path / "whole")
    rng, codes = random.Random(0), Counter[int]()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", KILLED, config.sources[0].path, tmp_path / f"{i}", str(rng.uniform(0, 0.3))],
            env=environment(),
        )
        for i in range(3)
    ]
    for i, process in enumerate(processes):
        codes[process.wait()] += 1
        cache = tmp_path / f"{i}" / "cache"
        for folder in cache.iterdir() if cache.is_dir() else []:
            assert folder.name.endswith(".tmp") or json.loads((folder / "report.json").read_text(encoding="utf-8"))
        assert same(load_corpus(config, cache), wanted)
    assert set(codes) <= {0, -9}

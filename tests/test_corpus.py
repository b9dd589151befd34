"""Pairs are read literally, cleaned for stated reasons, and never shared with the test."""

from __future__ import annotations

import gzip
import lzma
import os
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toy import toy_pairs, write_pairs
from translator.config import DataConfig, SourceConfig
from translator.corpus import Pair, clean, hold_out, letters, load_corpus, read_pairs
from translator.errors import UserError


def write(folder: Path, data: str | bytes, name: str = "pairs.tsv") -> str:
    path = folder / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def mistake(path: str) -> str:
    with pytest.raises(UserError) as error:
        read_pairs(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_lines_are_read_literally(tmp_path: Path) -> None:
    text = '"Hi," he said.\t그는 "안녕"이라고 했어요.\nNA\tnull\nnan\t1e3\r\n'
    text += "a\u2028b\x0bc\x85d\te\x0cf\n#x\t'y\n\\t\t\\n\n\"a\tb"
    pairs, bad = read_pairs(write(tmp_path, text))
    assert bad == 0
    assert pairs == [
        ('"Hi," he said.', '그는 "안녕"이라고 했어요.'),
        ("NA", "null"),
        ("nan", "1e3"),
        ("a b c d", "e f"),
        ("#x", "'y"),
        ("\\t", "\\n"),
        ('"a', "b"),
    ]


def test_pairs_are_normalised_and_a_byte_order_mark_goes(tmp_path: Path) -> None:
    assert read_pairs(write(tmp_path, "\ufeffＨi  you\u200b\t하\u1112\u1161\n"))[0] == [("Hi you", "하하")]


def test_empty_lines_and_sides_come_through(tmp_path: Path) -> None:
    assert read_pairs(write(tmp_path, "\n \na\t\n\tb\n\t\n"))[0] == [
        ("", ""), ("", ""), ("a", ""), ("", "b"), ("", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(("suffix", "compress"), [("gz", gzip.compress), ("xz", lzma.compress), ("", bytes)])
def test_compressed_files(suffix: str, compress: object, tmp_path: Path) -> None:
    assert callable(compress)
    data = compress("a\t가\nb\t나\n".encode())
    assert read_pairs(write(tmp_path, data, f"pairs.tsv.{suffix}"))[0] == [("a", "가"), ("b", "나")]


@pytest.mark.parametrize(
    "name", ["x[1].tsv", "x*.tsv", "x?.tsv", "a b.tsv", ".x.tsv", "한국.tsv", "50%#.tsv", "x"]
)
def test_a_name_means_that_file(name: str, tmp_path: Path) -> None:
    write(tmp_path, "wrong\t틀림\n", "xy.tsv")
    write(tmp_path, "wrong\t틀림\n", "x1.tsv")
    assert read_pairs(write(tmp_path, "a\t가\n", name))[0] == [("a", "가")]


@pytest.mark.parametrize("name", ["x.tsv", "x.tsv.gz"])
def test_a_changed_file_is_read_anew_though_its_date_is_the_same(name: str, tmp_path: Path) -> None:
    for text in ("a\t가\n", "b\t나\n"):
        path = write(tmp_path, gzip.compress(text.encode()) if name.endswith("gz") else text, name)
        os.utime(path, (0, 0))
        assert read_pairs(path)[0] == [(text[0], text[2])]


@pytest.mark.parametrize(
    ("line", "columns"), [("a", "1 column,"), ("a\tb\tc", "3 columns,"), ("a\tb\t", "3 columns,")]
)
def test_a_bad_line_is_named_or_counted(line: str, columns: str, tmp_path: Path) -> None:
    path = write(tmp_path, f"a\tb\n\n{line}\nc\td\n{line}\n")
    message = mistake(path)
    assert f"{path}, line 3: {columns}" in message and "skip_bad_lines" in message
    assert read_pairs(path, skip_bad_lines=True) == ([("a", "b"), ("", ""), ("c", "d")], 2)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent.tsv")
    assert absent in mistake(absent) and "no such file" in mistake(absent)
    assert "no such file" in mistake(str(tmp_path))
    assert "is empty" in mistake(write(tmp_path, "", "empty.tsv"))
    assert "is empty" in mistake(write(tmp_path, lzma.compress(b""), "empty.tsv.xz"))
    path = write(tmp_path, b"a\tb\n\xff\xfe\tc\n", "latin.tsv")
    assert path in mistake(path) and "not UTF-8" in mistake(path)
    torn = write(tmp_path, lzma.compress(b"a\tb\n" * 99)[:-9], "torn.tsv.xz")
    assert torn in mistake(torn)


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (("...", "안녕"), "no letters on a side"),
        (("Hi", ""), "no letters on a side"),
        (("Hello!", "hello"), "not translated"),
        (("a " * 11, "가"), "too long"),
        (("a b c d e f g h i j", "가"), "lengths differ too much"),
        (("a", "가 나 다 라 마 바 사 아 자 차"), "lengths differ too much"),
        (("THE TEST", "다른 문장"), "in validation or test"),
        (("Another one.", "시험!"), "in validation or test"),
        (("Hi", "안녕"), "duplicate"),
    ],
)
def test_why_a_pair_is_dropped(pair: Pair, reason: str) -> None:
    config = DataConfig(max_words=10, max_ratio=2)
    kept, dropped = clean(
        [("Hi", "안녕"), pair, ("Bye", "잘 가")], config, {letters("The test."), letters("시험")}
    )
    assert kept == [("Hi", "안녕"), ("Bye", "잘 가")]
    assert dict(dropped) == {reason: 1}


words = st.sampled_from(["I", "am", "a", "cat", "Cat!", "..."]).flatmap(lambda w: st.just(w))
sentences = st.lists(words, min_size=1, max_size=3).map(" ".join)
pair_lists = st.lists(st.tuples(sentences, sentences), min_size=2, max_size=30, unique=True)


@given(pair_lists, st.data())
def test_hold_out_depends_on_the_text_alone_and_leaks_nothing(pairs: list[Pair], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(pairs) // 2))
    rest, chosen = hold_out(pairs, size)
    assert len(chosen) == size and set(rest) | set(chosen) <= set(pairs)
    held_out = {letters(s) for pair in chosen for s in pair}
    assert not held_out & {letters(s) for pair in rest for s in pair}
    assert [p for p in pairs if p in rest] == rest
    assert all(held_out & {letters(s) for s in pair} for pair in set(pairs) - set(rest))

    shuffled = list(pairs)
    random.Random(data.draw(st.integers())).shuffle(shuffled)
    again, chosen_again = hold_out(shuffled, size)
    assert chosen_again == chosen and set(again) == set(rest)


def test_hold_out_wants_enough_pairs() -> None:
    with pytest.raises(UserError, match=r"data\.validation_size"):
        hold_out([("a", "b")] * 3, 2)


def held_out_never_stays(config: DataConfig) -> None:
    corpus = load_corpus(config)
    held_out = [corpus.validation, *corpus.test.values()]
    sentences = {letters(s) for pairs in held_out for pair in pairs for s in pair}
    assert sentences and corpus.train
    assert not sentences & {letters(s) for pair in corpus.train for s in pair}
    assert corpus.report["train"] == len(corpus.train)
    assert corpus.report["validation"] == len(corpus.validation)


def test_no_sentence_of_validation_or_test_is_trained_on(tmp_path: Path) -> None:
    pairs = toy_pairs()
    source = [SourceConfig(str(write_pairs(tmp_path / "train.tsv", [*pairs, *pairs[:5]])))]
    (tmp_path / "other").mkdir()
    tests = [
        str(write_pairs(tmp_path / "test.tsv", [(e.upper(), "다른 문장") for e, _ in pairs[:20]])),
        str(write_pairs(tmp_path / "other" / "test.tsv", [("Another one", k + "!") for _, k in pairs[30:40]])),
    ]
    validation = str(write_pairs(tmp_path / "valid.tsv", pairs[50:60]))
    for config in (
        DataConfig(source, validation=validation, test=tests),
        DataConfig(source, validation_size=30, test=tests),
        DataConfig(source, validation=validation),
    ):
        held_out_never_stays(config)


def test_every_pair_is_accounted_for(tmp_path: Path) -> None:
    pairs = toy_pairs()
    path = write_pairs(tmp_path / "train.tsv", [*pairs, *pairs[:5], ("", ""), ("Hi", "hi")])
    for config in (
        DataConfig([SourceConfig(str(path))], validation_size=20),
        DataConfig([SourceConfig(str(path))], validation=str(write_pairs(tmp_path / "v.tsv", pairs[:9]))),
    ):
        corpus = load_corpus(config)
        dropped = corpus.report["dropped"]
        assert isinstance(dropped, dict)
        held_out = 0 if config.validation else len(corpus.validation)
        assert len(corpus.train) + held_out + sum(dropped.values()) == len(pairs) + 7


def test_a_corpus_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.sources is empty"):
        load_corpus(DataConfig())
    path = str(write_pairs(tmp_path / "p.tsv", [("a", "가")]))
    with pytest.raises(UserError, match="no training pair is left"):
        load_corpus(DataConfig([SourceConfig(path)], validation=path))


def test_a_pair_has_the_weight_of_the_first_source_that_holds_it(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a.tsv", [("one", "하나"), ("two", "둘")])
    write_pairs(tmp_path / "b.tsv", [("two", "둘"), ("three", "셋")])
    sources = [SourceConfig(str(tmp_path / "a.tsv"), weight=2), SourceConfig(str(tmp_path / "b.tsv"), weight=0.5)]
    validation = write_pairs(tmp_path / "valid.tsv", [("four", "넷")])
    corpus = load_corpus(DataConfig(sources=sources, validation=str(validation)))
    assert dict(zip(corpus.train, corpus.weights, strict=True)) == {
        ("one", "하나"): 2, ("two", "둘"): 2, ("three", "셋"): 0.5,
    }  # fmt: skip

"""Whatever pairs are written come back, and every mistake in a file is one line that says where and what to do."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import os
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toy import ROOT
from translator.config import SourceConfig
from translator.config_file import load_config
from translator.errors import UserError
from translator.sources import announce_licence, fingerprint, read_source

Pair = tuple[str, str]
PAIRS = [("I am here.", "나 여기 있어."), ("Go!", "가!"), ("It rains.", "비가 와요.")]


def as_tabs(pairs: list[Pair]) -> bytes:
    return "".join(f"{english}\t{korean}\n" for english, korean in pairs).encode()


def as_csv(pairs: list[Pair]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([("en", "ko"), *pairs])
    return text.getvalue().encode()


def as_json(pairs: list[Pair]) -> bytes:
    return "".join(json.dumps({"korean": ko, "id": 1, "english": en}) + "\n" for en, ko in pairs).encode()


def as_nested_json(pairs: list[Pair]) -> bytes:
    lines = (json.dumps({"translation": {"ko": ko, "en": en}}, ensure_ascii=False) for en, ko in pairs)
    return "".join(line + "\n" for line in lines).encode()


def in_parquet(table: pa.Table) -> bytes:
    data = io.BytesIO()
    pq.write_table(table, data)
    return data.getvalue()


def as_parquet(pairs: list[Pair]) -> bytes:
    english, korean = [en for en, _ in pairs], [ko for _, ko in pairs]
    return in_parquet(pa.table({"ko": korean, "n": range(len(pairs)), "en": english}))


def as_nested_parquet(pairs: list[Pair]) -> bytes:
    return in_parquet(pa.table({"translation": [{"en": en, "ko": ko} for en, ko in pairs]}))


KINDS: dict[str, Callable[[list[Pair]], bytes]] = {
    "flat.tsv": as_tabs,
    "flat.txt": as_tabs,
    "flat": as_tabs,
    "flat.csv": as_csv,
    "flat.jsonl": as_json,
    "nested.json": as_nested_json,
    "flat.parquet": as_parquet,
    "nested.parquet": as_nested_parquet,
}
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: pa.compress(data, codec="zstd", asbytes=True),
}


def write(folder: Path, data: str | bytes, name: str = "pairs.tsv") -> str:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def read_lines(source: SourceConfig | str, skip_bad_lines: bool = False) -> tuple[dict[int, Pair], int]:
    """The pairs by their lines, and the count of bad ones."""
    source = SourceConfig(path=source) if isinstance(source, str) else source
    pairs: dict[int, Pair] = {}
    bad = 0
    for chunk in read_source(source, skip_bad_lines):
        pairs.update(zip(chunk.lines, chunk.pairs, strict=True))
        bad += chunk.bad
    return pairs, bad


def read(source: SourceConfig | str) -> list[Pair]:
    return list(read_lines(source)[0].values())


def mistake(source: SourceConfig | str) -> str:
    """The message, which must be one line."""
    with pytest.raises(UserError) as error:
        read(source)
    message = str(error.value)
    assert message and "\n" not in message
    return message


# ---- what is written comes back -------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", COMPRESS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_file_compressed_or_not(kind: str, packed: str, tmp_path: Path) -> None:
    if kind.endswith("parquet") and packed:
        return  # is compressed inside
    assert read(write(tmp_path, COMPRESS[packed](KINDS[kind](PAIRS)), kind + packed)) == PAIRS


odd = ["NA", "null", "nan", "1e3", '"', '"a', '""', "'", "a,b", "\\t", "#", "\u2028", "\x0b", "\x85", "{}", "각"]
sides = st.text(st.characters(codec="utf-8", exclude_characters="\t\n\r")) | st.sampled_from(odd)


@settings(max_examples=12)
@given(st.lists(st.tuples(sides, sides).filter(lambda pair: all(side.strip() for side in pair)), min_size=1))
def test_nothing_is_lost_changed_or_moved(pairs: list[Pair]) -> None:
    pairs = [("en", "ko"), *pairs, ("a\ufeff", "b")]
    pairs += [("a", "b")] * len(pairs)  # lest the columns look swapped
    with tempfile.TemporaryDirectory() as folder:
        for kind, form in KINDS.items():
            assert read(write(Path(folder), form(pairs), kind)) == pairs, kind
        for side, name in enumerate(("t.en", "t.ko")):
            write(Path(folder), "".join(pair[side] + "\n" for pair in pairs), name)
        assert read(SourceConfig(path=f"{folder}/t.en", target_path=f"{folder}/t.ko")) == pairs


def test_a_line_of_tabs_is_taken_literally(tmp_path: Path) -> None:
    text = '"Hi," he said.\t그는 "안녕"이라고 했어요.\nNA\tnull\nnan\t1e3\r\n'
    text += "a\u2028b\x0bc\x85d\te\x0cf\n#x\t'y\n\\t\t\\n\n\"a\tb"
    assert read(write(tmp_path, text)) == [
        ('"Hi," he said.', '그는 "안녕"이라고 했어요.'),
        ("NA", "null"),
        ("nan", "1e3"),
        ("a\u2028b\x0bc\x85d", "e\x0cf"),
        ("#x", "'y"),
        ("\\t", "\\n"),
        ('"a', "b"),
    ]


def test_empty_lines_keep_their_place(tmp_path: Path) -> None:
    assert read_lines(write(tmp_path, "\n \na\t\n\tb\n\t\n"))[0] == {
        1: ("", ""), 2: ("", ""), 3: ("a", ""), 4: ("", "b"), 5: ("", ""),
    }  # fmt: skip


def test_a_csv_field_may_hold_commas_quotes_and_lines(tmp_path: Path) -> None:
    text = '\ufeffid,Korean,English\r\n1,가,"a, ""b""\r\nc"\r\n\r\n2,나,NA\r\n'
    assert read_lines(write(tmp_path, text, "x.csv"))[0] == {
        2: ('a, "b"\nc', "가"), 4: ("", ""), 5: ("NA", "나"),
    }  # fmt: skip


@pytest.mark.parametrize("packed", COMPRESS)
@pytest.mark.parametrize("kind", ["flat.tsv", "flat.csv", "flat.jsonl"])
def test_a_byte_order_mark_and_crlf_are_no_text(kind: str, packed: str, tmp_path: Path) -> None:
    data = b"\xef\xbb\xbf" + KINDS[kind](PAIRS).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert read(write(tmp_path, COMPRESS[packed](data), kind + packed)) == PAIRS


def test_more_than_a_chunk(tmp_path: Path) -> None:
    pairs = [(f"line {n}", f"{n}번 줄") for n in range(1, 25_001)]
    for kind in ("flat.tsv", "flat.parquet"):
        path = write(tmp_path, KINDS[kind](pairs), kind)
        assert read_lines(path)[0] == dict(enumerate(pairs, start=1))
    english, korean = (write(tmp_path, "".join(p[i] + "\n" for p in pairs), n) for i, n in enumerate(["en", "ko"]))
    assert read_lines(SourceConfig(english, target_path=korean))[0] == dict(enumerate(pairs, start=1))


# ---- which files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["x[1].tsv", "x*.tsv", "x?.tsv", "a b.tsv", ".x.tsv", "한국.tsv", "50%#.tsv", "x", "[a].tsv.gz"]
)
def test_a_name_means_that_file(name: str, tmp_path: Path) -> None:
    for other in ("xy.tsv", "x1.tsv", "a.tsv.gz"):
        write(tmp_path, "wrong\t틀림\n", other)
    pack = COMPRESS[".gz" if name.endswith("gz") else ""]
    assert read(write(tmp_path, pack(as_tabs(PAIRS)), name)) == PAIRS


def test_a_folder_or_a_glob_is_all_its_files_by_name(tmp_path: Path) -> None:
    write(tmp_path / "f", as_tabs(PAIRS[1:2]), "b.tsv")
    write(tmp_path / "f", gzip.compress(as_json(PAIRS[2:])), "c.JSONL.gz")
    write(tmp_path / "f", as_csv(PAIRS[:1]), "a.csv")
    write(tmp_path / "f", "not pairs", "README.md")
    write(tmp_path / "f" / "g", "not pairs", "d.tsv")
    chunks = list(read_source(SourceConfig(path=str(tmp_path / "f"))))
    assert [(chunk.file, chunk.lines, chunk.pairs) for chunk in chunks] == [
        ("a.csv", [2], PAIRS[:1]), ("b.tsv", [1], PAIRS[1:2]), ("c.JSONL.gz", [1], PAIRS[2:]),
    ]  # fmt: skip
    assert read(str(tmp_path / "f" / "[ab].*")) == PAIRS[:2]


def test_parallel_files(tmp_path: Path) -> None:
    source = SourceConfig(
        path=write(tmp_path, "a\u2028b\n\n\x85c\r\n", "t.en"),
        target_path=write(tmp_path, gzip.compress("가\n\t나\n다".encode()), "t.ko.gz"),
    )
    assert read_lines(source)[0] == {1: ("a\u2028b", "가"), 2: ("", "\t나"), 3: ("\x85c", "다")}
    write(tmp_path, "a\n" * 1234, "t.en")
    assert "t.en has 1,234 lines" in mistake(source) and "t.ko.gz 3;" in mistake(source)
    absent = str(tmp_path / "absent")
    assert f"{absent}: no such file" in mistake(SourceConfig(path=absent, target_path=source.target_path))
    with pytest.raises(UserError, match="absent: cannot be read"):  # a corpus is fingerprinted before it is read
        fingerprint(SourceConfig(path=source.path, target_path=absent))
    assert "goes with one file, these are 2" in mistake(
        SourceConfig(path=str(tmp_path / "t.*"), target_path=source.target_path)
    )


def test_files_that_are_not_there(tmp_path: Path) -> None:
    absent = str(tmp_path / "absent.tsv")
    assert f"{absent}: no such file" in mistake(absent)
    (tmp_path / "sub").mkdir()
    write(tmp_path, "a\tb\n", "a.doc")
    assert f"{tmp_path}: a folder without files of pairs (.tsv .txt" in mistake(str(tmp_path))
    for name in (absent, str(tmp_path)):
        with pytest.raises(UserError):
            fingerprint(SourceConfig(path=name))


# ---- which columns --------------------------------------------------------------------------------------------


def test_columns_by_number_and_by_name(tmp_path: Path) -> None:
    path = write(tmp_path, "7\t가\tgo\tx\n8\t나\tme\n")
    assert read(SourceConfig(path, source_column="2", target_column="1")) == [("go", "가"), ("me", "나")]
    path = write(tmp_path, "\ufeffid\tKorean\tEnglish\n7\t가\tgo\n8\t나\tme\n")
    named = SourceConfig(path, source_column="English", target_column="Korean")
    assert read_lines(named)[0] == {2: ("go", "가"), 3: ("me", "나")}
    for kind, en, ko in [
        ("a.csv", "b", "c"), ("b.jsonl", "b", "c"), ("c.parquet", "b", "c"),
        ("nested.jsonl", "x.b", "x.c"), ("nested.parquet", "x.b", "x.c"),
    ]:  # fmt: skip
        rows = [{"a": "!", "b": english, "c": korean} for english, korean in PAIRS]
        records = [{"x": row} for row in rows] if "." in en else rows
        forms: dict[str, str | bytes] = {
            "csv": "a,b,c\n" + "".join(",".join(row.values()) + "\n" for row in rows),
            "jsonl": "".join(json.dumps(record) + "\n" for record in records),
            "parquet": in_parquet(pa.Table.from_pylist(records)),
        }
        path = write(tmp_path, forms[kind.rpartition(".")[2]], kind)
        assert read(SourceConfig(path, source_column=en, target_column=ko)) == PAIRS, kind


@pytest.mark.parametrize("names", [("EN", "KO"), ("English", "Korean"), ("source", "target"), ("원문", "번역문")])
def test_the_usual_names_are_guessed(names: Pair, tmp_path: Path) -> None:
    text = ",".join(["n", *reversed(names)]) + "\n1,가,go\n"
    assert read(write(tmp_path, text, "x.csv")) == [("go", "가")]
    text = json.dumps({names[1]: "가", names[0]: "go"})
    assert read(write(tmp_path, text, "x.json")) == [("go", "가")]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("x.csv", b"id,one,two\n1,a,b\n"),
        ("x.jsonl", b'{"id": 1, "one": "a", "two": "b"}\n'),
        ("x.parquet", in_parquet(pa.table({"id": [1], "one": ["a"], "two": ["b"]}))),
    ],
)
def test_a_missing_column_lists_those_there_are(name: str, data: bytes, tmp_path: Path) -> None:
    path = write(tmp_path, data, name)
    assert "source_column" in mistake(path) and mistake(path).endswith("there are: id, one, two")
    assert mistake(path).startswith(f"{path}: ")
    for columns in (("en", "two"), ("one", "en")):
        message = mistake(SourceConfig(path, source_column=columns[0], target_column=columns[1]))
        assert message == f"{path}: no column 'en'; there are: id, one, two"


def test_a_missing_column_in_a_file_of_tabs(tmp_path: Path) -> None:
    path = write(tmp_path, "id\tone\n1\ta\n")
    message = mistake(SourceConfig(path, source_column="one", target_column="two"))
    assert message == f"{path}: no column 'two'; there are: id, one"
    message = mistake(SourceConfig(path, source_column="0", target_column="²"))
    assert "no column '0'" in message
    message = mistake(SourceConfig(path, source_column="0", target_column="2"))
    assert f"{path}, line 1: 2 columns, 3 or more are wanted" in message


def way_out(message: str) -> SourceConfig:
    """The source that a message says to give on the command line, as it would be read there."""
    found = re.search("data.sources='(.*?)'", message)
    assert found
    [source] = load_config(ROOT / "configs" / "tatoeba.yaml", [f"data.sources={found[1]}"]).data.sources
    return source


def test_more_than_two_columns_have_a_way_out(tmp_path: Path) -> None:
    message = mistake(write(tmp_path, "".join(f"{en}\t{ko}\t\n" for en, ko in PAIRS)))
    assert read(way_out(message)) == PAIRS


def test_swapped_columns_are_said_so(tmp_path: Path) -> None:
    swapped = [(korean, english) for english, korean in PAIRS]
    message = mistake(write(tmp_path, as_tabs([("Go", "2"), *swapped]), "swapped.tsv"))
    assert message.startswith("swapped.tsv: the columns look swapped") and repr(PAIRS[0][1]) in message
    assert read(way_out(message))[1:] == PAIRS
    for kind in ("flat.csv", "flat.parquet"):
        assert "look swapped" in mistake(write(tmp_path, KINDS[kind](swapped), kind))
    english, korean = (write(tmp_path, "".join(p[i] + "\n" for p in PAIRS), n) for i, n in enumerate(["en", "ko"]))
    message = mistake(SourceConfig(path=korean, target_path=english))
    assert "look swapped" in message and "`target_path`" in message and "source_column" not in message
    (tmp_path / "both").mkdir()
    for name, pairs in (("a.tsv", PAIRS), ("b.tsv", swapped)):
        write(tmp_path / "both", as_tabs(pairs), name)
    assert mistake(str(tmp_path / "both")).startswith("b.tsv: the columns look swapped")
    few = [*PAIRS * 2, *swapped]  # some wrong lines are the cleaning's work
    assert read(write(tmp_path, as_tabs(few))) == few


# ---- what is wrong inside -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "good", "bad", "wanted"),
    [
        ("x.tsv", "a\tb", "a", "1 column, not two (english<TAB>korean)"),
        ("x.tsv", "a\tb", "a\tb\tc", "3 columns, not two (english<TAB>korean); to pick two of them: data."),
        ("x.tsv", "a\tb", "a\tb\t", "3 columns"),
        ("x.csv", "a,b", "a", "1 fields, the header has 2"),
        ("x.csv", "a,b", "a,b,c", "3 fields, the header has 2"),
        ("x.jsonl", '{"en": "a", "ko": "b"}', '{"en": "a", ', "one JSON object a line is wanted, {...} ("),
        ("x.jsonl", '{"en": "a", "ko": "b"}', '[{"en": "a"}', "one JSON object a line is wanted"),
        ("x.jsonl", '{"en": "a", "ko": "b"}', "3", "one JSON object a line is wanted"),
        ("x.jsonl", '{"en": "a", "ko": "b"}', '[{"en": "a"}]', "one JSON object a line is wanted"),
        ("x.jsonl", '{"en": "a", "ko": "b"}', '{"en": "a"}', "no text under 'ko'"),
        ("x.jsonl", '{"en": "a", "ko": "b"}', '{"en": null, "ko": "b"}', "no text under 'en'"),
        ("x.jsonl", '{"en": "a", "ko": "b"}', '{"en": ["a"], "ko": "b"}', "no text under 'en'"),
        ("x.jsonl", '{"en": "a", "ko": "b"}', "9" * 5000, "one JSON object a line"),
        ("x.jsonl", '{"en": "a", "ko": "b"}', '{"a":' * 9999 + "1" + "}" * 9999, "one JSON object a line"),
    ],
)
def test_a_bad_line_is_named_or_counted(name: str, good: str, bad: str, wanted: str, tmp_path: Path) -> None:
    lines = [*["en,ko"][: name == "x.csv"], good, "", bad, good, bad]
    path = write(tmp_path, "\n".join(lines), name)
    number = lines.index(bad) + 1
    message = mistake(path)
    assert message.startswith(f"{path}, line {number}: ") and wanted in message
    assert "data.skip_bad_lines=true" in message
    pairs, count = read_lines(path, skip_bad_lines=True)
    assert count == 2
    assert pairs == {number - 2: ("a", "b"), number - 1: ("", ""), number + 1: ("a", "b")}


def test_a_missing_value_in_parquet(tmp_path: Path) -> None:
    path = write(tmp_path, in_parquet(pa.table({"en": ["a", None, "c"], "ko": ["가", "나", "다"]})), "x.parquet")
    assert f"{path}, record 2: no text under 'en'" in mistake(path)
    assert read_lines(path, skip_bad_lines=True) == ({1: ("a", "가"), 3: ("c", "다")}, 1)


def test_a_quote_left_open_does_not_swallow_the_rest(tmp_path: Path) -> None:
    path = write(tmp_path, 'en,ko\na,b\n"c,d\n' + "e,f\n" * 9, "x.csv")
    for skip in (False, True):
        with pytest.raises(UserError, match=r"x\.csv, line 3: not CSV \(.*is a quote left open\?"):
            read_lines(path, skip)


@pytest.mark.parametrize("packed", COMPRESS)
@pytest.mark.parametrize("name", ["x.tsv", "x.csv", "x.jsonl"])
def test_bytes_that_are_not_utf8(name: str, packed: str, tmp_path: Path) -> None:
    good = {"x.tsv": b"a\tb\r\n", "x.csv": b"en,ko\r\n", "x.jsonl": b'{"en": "a", "ko": "b"}\r\n'}[name]
    for data, wanted in [
        (good + b"\n\n\xff\xfe\tc\n", ", line 4: not UTF-8 (byte 0xff"),
        (good + "a\t가나다\n".encode("cp949"), ", line 2: not UTF-8 (byte 0xb0"),
        ("a\t가\n".encode("utf-16"), ": is UTF-16; save it as UTF-8"),
    ]:
        path = write(tmp_path, COMPRESS[packed](data), name + packed)
        message = mistake(path)
        assert message.startswith(path + wanted), message
        assert "UTF-8" in message.partition("save ")[2]


@pytest.mark.parametrize("packed", [".gz", ".xz", ".zst"])
@pytest.mark.parametrize("left", [0.3, 0.999])
def test_a_compressed_file_cut_short(packed: str, left: float, tmp_path: Path) -> None:
    data = COMPRESS[packed](as_tabs([(os.urandom(9).hex(), "가") for _ in range(20_000)]))
    path = write(tmp_path, data[: int(len(data) * left)], f"x.tsv{packed}")
    assert mistake(path).startswith(f"{path}: is cut short or damaged (") and "; fetch it again" in mistake(path)


@pytest.mark.parametrize("packed", [".gz", ".xz", ".zst"])
def test_a_compressed_file_of_several_parts(packed: str, tmp_path: Path) -> None:
    parts = [COMPRESS[packed](as_tabs([pair])) for pair in PAIRS]
    assert read(write(tmp_path, b"".join(parts), f"x.tsv{packed}")) == PAIRS
    assert "is cut short" in mistake(write(tmp_path, b"".join(parts)[:-5], f"x.tsv{packed}"))


@pytest.mark.parametrize("packed", [".gz", ".xz", ".zst"])
def test_a_damaged_compressed_file(packed: str, tmp_path: Path) -> None:
    data = bytearray(COMPRESS[packed](os.urandom(5000).hex().encode()))
    data[1000:2000] = bytes(1000)
    path = write(tmp_path, bytes(data), f"x.tsv{packed}")
    assert mistake(path).startswith(f"{path}")


@pytest.mark.parametrize("packed", [".gz", ".xz", ".zst"])
def test_a_file_that_is_not_compressed_though_its_name_says_so(packed: str, tmp_path: Path) -> None:
    path = write(tmp_path, as_tabs(PAIRS), f"x.tsv{packed}")
    assert mistake(path).startswith(f"{path}: is cut short or damaged (")
    assert mistake(path).endswith("; fetch it again, or rename it if it is not compressed")


@pytest.mark.parametrize("name", ["x.zip", "x.xlsx", "x.tar", "x.tar.gz", "x.tsv"])
def test_an_archive_is_not_read_as_text(name: str, tmp_path: Path) -> None:
    inside, data = write(tmp_path, as_tabs(PAIRS), "inside.tsv"), io.BytesIO()
    if ".tar" in name:
        with tarfile.open(fileobj=data, mode="w:gz" if name.endswith("gz") else "w") as tar:
            tar.add(inside, "inside.tsv")
    else:
        with zipfile.ZipFile(data, "w") as archive:
            archive.write(inside, "inside.tsv")
    path = write(tmp_path, data.getvalue(), name)
    assert mistake(path) == f"{path}: is an archive or a spreadsheet; unpack it, or save it as .csv or .tsv"


def test_a_parquet_file_cut_short(tmp_path: Path) -> None:
    data = as_parquet(PAIRS)
    for cut in (data[: len(data) // 2], b"not parquet", b""):
        path = write(tmp_path, cut, "x.parquet")
        assert mistake(path).startswith(f"{path}: not a whole Parquet file")
    assert read(write(tmp_path, as_parquet([]), "x.parquet")) == []


@pytest.mark.parametrize("packed", COMPRESS)
@pytest.mark.parametrize("name", ["x.tsv", "x.csv", "x.jsonl"])
def test_an_empty_file(name: str, packed: str, tmp_path: Path) -> None:
    path = write(tmp_path, COMPRESS[packed](b""), name + packed)
    assert mistake(path).startswith(f"{path}: is empty")


# ---- the same source, or another ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x.tsv", "x.tsv.gz", "x.parquet"])
def test_a_changed_file_is_read_anew_though_its_date_is_the_same(name: str, tmp_path: Path) -> None:
    seen = set()
    for pair in PAIRS[1:2], [("No!", "나!")]:
        kind = "flat.parquet" if name.endswith("parquet") else "flat.tsv"
        path = write(tmp_path, COMPRESS[".gz" if name.endswith("gz") else ""](KINDS[kind](pair)), name)
        os.utime(path, (0, 0))
        assert read(path) == pair
        seen.add(fingerprint(SourceConfig(path)))
    assert len(seen) == 2


def test_a_fingerprint_is_of_all_that_changes_the_pairs(tmp_path: Path) -> None:
    path, other = write(tmp_path, as_tabs(PAIRS), "a.tsv"), write(tmp_path, as_tabs(PAIRS), "b.tsv")
    base = SourceConfig(path)
    different = [
        base,
        SourceConfig(path, source_column="1", target_column="0"),
        SourceConfig(path, cap=2),
        SourceConfig(path, target_path=other),
        SourceConfig(other),
        SourceConfig(str(tmp_path)),
        SourceConfig(hub="a/b", config="x"),
        SourceConfig(hub="a/b", split="x"),
        SourceConfig(hub="a/b", revision="x"),
    ]
    assert len({fingerprint(source) for source in different}) == len(different)
    assert fingerprint(SourceConfig(path, weight=3, licence="x")) == fingerprint(base)
    copy = write(tmp_path / "elsewhere", as_tabs(PAIRS), "a.tsv")
    assert fingerprint(SourceConfig(copy)) == fingerprint(base)


@pytest.mark.parametrize(
    ("licence", "wanted"),
    [
        ("cc-by-nc-nd-4.0", "forbids commercial use and derivatives"),
        ("CC BY-NC 4.0", "forbids commercial use"),
        ("cc-by-nd-3.0", "forbids derivatives"),
        ("cc-by-sa-3.0", ""),
        ("unknown", ""),
        ("", ""),
    ],
)
def test_a_licence_that_forbids_is_said(licence: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    announce_licence(SourceConfig("x/ted.tsv", licence=licence))
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == bool(wanted)
    assert err == (f"note: ted.tsv: its licence, {licence}, {wanted}\n" if wanted else "")

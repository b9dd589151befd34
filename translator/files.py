"""Sentence pairs from files: lines of tabs, CSV, JSON Lines, Parquet, two parallel files, compressed or not.

Text is read a line at a time, straight from the compressed file, so that quotes, `NA` and `null` stay text, a
mistake has a line number, and nothing is unpacked to the disk. What comes out are `Chunk`s of raw strings: neither
normalised nor cleaned.
"""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from translator.config import SourceConfig
from translator.errors import UserError

COLUMNS = [
    ("en", "ko"),
    ("english", "korean"),
    ("translation.en", "translation.ko"),
    ("source", "target"),
    ("원문", "번역문"),
]
"""Names of columns that need not be given."""

CHUNK = 10_000

Record = tuple[int, tuple[str, str] | str]
"""The number of a line (or record), from 1, and its pair, or a text that says why it is none."""


@dataclass
class Chunk:
    """Some pairs as they stand in a file; an empty line is a pair of empty strings."""

    file: str
    """The file's name, or the data set's."""
    lines: list[int]
    """Line (or record) of each pair, from 1."""
    pairs: list[tuple[str, str]]
    bad: int = 0
    """Lines left out because they are no pair; only where the caller asked to go on past them."""


def chunks(records: Iterable[Record], where: str, file: str, skip_bad_lines: bool) -> Iterator[Chunk]:
    """The records, `CHUNK` at a time; one that is no pair is counted or, as a rule, an error.

    `where` stands before its number in the message: "pairs.tsv, line".
    """
    chunk = Chunk(file, [], [])
    for number, pair in records:
        if isinstance(pair, str):
            if not skip_bad_lines:
                raise UserError(f"{where} {number}: {pair}; data.skip_bad_lines=true goes on without such lines")
            chunk.bad += 1
            continue
        chunk.lines.append(number)
        chunk.pairs.append(pair)
        if len(chunk.pairs) == CHUNK:
            yield chunk
            chunk = Chunk(file, [], [])
    yield chunk


def from_tables(tables: Iterable[Any], source: SourceConfig, name: str) -> Iterator[Record]:
    """The rows of Arrow tables with named columns; a missing value is no text."""
    done = 0
    for table in tables:
        while any(str(kind).startswith("struct") for kind in table.schema.types):
            table = table.flatten()  # translation: {en, ko} becomes translation.en and translation.ko
        columns = _columns(table.column_names, source, name)
        texts = (table.column(column).to_pylist() for column in columns)
        for number, pair in enumerate(zip(*texts, strict=True), done + 1):
            yield number, _texts(pair, columns)
        done += len(table)


def _lines(path: str) -> Iterator[str]:
    """The lines of a file of text, unpacked, without their ends and the byte order mark of Windows editors."""
    number = 0
    try:
        with _UNPACK.get(Path(path).suffix.lower(), _open)(path) as file:
            for number, line in enumerate(file, start=1):
                if number == 1 and (line.startswith(b"PK\x03\x04") or line[257:262] == b"ustar"):
                    raise UserError(
                        f"{path}: is an archive or a spreadsheet; unpack it, or save it as .csv or .tsv"
                    )
                text = _decoded(line, path, number)
                yield text.removeprefix("\ufeff") if number == 1 else text
    except (EOFError, OSError, lzma.LZMAError, zlib.error) as error:
        if getattr(error, "errno", None):  # the system's: there is no such file, or it may not be read
            raise
        raise UserError(
            f"{path}: is cut short or damaged ({error}); fetch it again, or rename it if it is not compressed"
        ) from None
    if number == 0:
        raise UserError(f"{path}: is empty; a pair a line is wanted, english<TAB>korean")


def _open(path: str) -> io.BufferedIOBase:
    return open(path, "rb")


def _open_zst(path: str) -> io.BufferedIOBase:
    return io.BufferedReader(pa.input_stream(path, compression="zstd"))


_UNPACK: dict[str, Callable[[str], io.BufferedIOBase]] = {".gz": gzip.open, ".xz": lzma.open, ".zst": _open_zst}


def _decoded(line: bytes, path: str, number: int) -> str:
    try:
        return line.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            raise UserError(f"{path}: is UTF-16; save it as UTF-8") from None
        raise UserError(
            f"{path}, line {number}: not UTF-8 (byte {line[error.start]:#04x}, {error.reason}); save the file as "
            "UTF-8 (Windows editors may have written CP949)"
        ) from None


def _from_tabs(path: str, source: SourceConfig) -> Iterator[Record]:
    """`english<TAB>korean`, literally. Columns given by name: the first line holds the names."""
    lines, start = _lines(path), 1
    given = source.source_column, source.target_column
    if not source.source_column:
        first, second = 0, 1
    elif all(column.isdecimal() for column in given):
        first, second = map(int, given)
    else:
        names, start = next(lines).split("\t"), 2
        first, second = (_find(column, names, path) for column in given)
    for number, line in enumerate(lines, start):
        cells = line.split("\t")
        count = f"{len(cells)} column{'s'[: len(cells) > 1]}"
        if not line.strip():
            yield number, ("", "")
        elif source.source_column and len(cells) <= max(first, second):
            yield number, f"{count}, {max(first, second) + 1} or more are wanted"
        elif not source.source_column and len(cells) != 2:
            picked = f"{{path: {path}, source_column: 0, target_column: 1}}"
            way = f"; to pick two of them: data.sources='{picked}'" if len(cells) > 2 else ""
            yield number, f"{count}, not two (english<TAB>korean){way}"
        else:
            yield number, (cells[first], cells[second])


def _from_csv(path: str, source: SourceConfig) -> Iterator[Record]:
    """Comma-separated values with a header; a quoted field may hold commas, quotes and line breaks."""
    reader = csv.reader((line + "\n" for line in _lines(path)), strict=True)
    start = 1
    try:
        names = next(reader)
        first, second = (_find(column, names, path) for column in _columns(names, source, path))
        start = reader.line_num + 1
        for row in reader:
            if not any(row):
                yield start, ("", "")
            elif len(row) != len(names):
                yield start, f"{len(row)} fields, the header has {len(names)}"
            else:
                yield start, (row[first], row[second])
            start = reader.line_num + 1
    except csv.Error as error:
        # What follows a quote that is not closed has been swallowed, so there is no going on.
        raise UserError(f"{path}, line {start}: not CSV ({error}); is a quote left open?") from None


def _from_json(path: str, source: SourceConfig) -> Iterator[Record]:
    """A JSON object a line."""
    columns: tuple[str, str] | None = None
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            yield number, ("", "")
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("this is another value")
            flat = _flatten(record)
        except (ValueError, RecursionError) as error:  # or a number of thousands of digits, or nested too deeply
            yield number, f"one JSON object a line is wanted, {{...}} ({getattr(error, 'msg', error)})"
            continue
        columns = columns or _columns(list(flat), source, path)
        yield number, _texts((flat.get(columns[0]), flat.get(columns[1])), columns)


def _flatten(record: dict[str, Any]) -> dict[str, Any]:
    """{"translation": {"en": …}} as {"translation.en": …}."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": v for inner, v in _flatten(value).items()}
        else:
            flat[key] = value
    return flat


def _texts(pair: tuple[Any, Any], columns: tuple[str, str]) -> tuple[str, str] | str:
    """The pair, or which side of it is no text."""
    for text, column in zip(pair, columns, strict=True):
        if not isinstance(text, str):
            return f"no text under {column!r}"
    return pair


def _columns(names: list[str], source: SourceConfig, path: str) -> tuple[str, str]:
    """The names of the English and the Korean column: those given, or the usual ones."""
    if source.source_column:
        for column in (source.source_column, source.target_column):
            _find(column, names, path)
        return source.source_column, source.target_column
    lower = {name.lower(): name for name in reversed(names)}
    for english, korean in COLUMNS:
        if english in lower and korean in lower:
            return lower[english], lower[korean]
    raise UserError(
        f"{path}: which columns are English and Korean? Name them with source_column and target_column; there "
        f"are: {', '.join(names)}"
    )


def _find(column: str, names: list[str], path: str) -> int:
    if column not in names:
        raise UserError(f"{path}: no column {column!r}; there are: {', '.join(names)}")
    return names.index(column)


def _from_parallel(english: str, korean: str) -> Iterator[Record]:
    """Two files, line by line; one that is longer is an error."""
    for number, (source, target) in enumerate(zip_longest(_lines(english), _lines(korean)), start=1):
        if source is None or target is None:
            counts = [sum(1 for _ in _lines(path)) for path in (english, korean)]
            raise UserError(
                f"{english} has {counts[0]:,} lines and {korean} {counts[1]:,}; line n of one must translate "
                "line n of the other"
            )
        yield number, (source, target)


def _from_parquet(path: str, source: SourceConfig) -> Iterator[Record]:
    try:
        batches = pq.ParquetFile(path).iter_batches(CHUNK)
        yield from from_tables((pa.Table.from_batches([batch]) for batch in batches), source, path)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a whole Parquet file ({str(error).splitlines()[0]})") from None


_KINDS: dict[str, Callable[[str, SourceConfig], Iterator[Record]]] = {
    ".tsv": _from_tabs,
    ".txt": _from_tabs,
    ".csv": _from_csv,
    ".jsonl": _from_json,
    ".json": _from_json,
    ".ndjson": _from_json,
    ".parquet": _from_parquet,
}


def source_files(source: SourceConfig) -> list[str]:
    """The files that `path` stands for, in order of their names."""
    path = Path(source.path)
    if path.is_file():
        return [source.path]
    if path.is_dir():
        known = tuple(suffix + packed for suffix in _KINDS for packed in ("", *_UNPACK))
        found = sorted(str(p) for p in path.iterdir() if p.is_file() and p.name.lower().endswith(known))
        if not found:
            raise UserError(f"{path}: a folder without files of pairs ({' '.join(_KINDS)}, compressed or not)")
        return found
    found = sorted(p for p in glob.glob(source.path) if Path(p).is_file())
    if not found:
        raise UserError(f"{path}: no such file of sentence pairs")
    return found


def read_files(source: SourceConfig, skip_bad_lines: bool = False) -> Iterator[Chunk]:
    """All pairs of the files that `path` stands for."""
    paths = source_files(source)
    if source.target_path and len(paths) != 1:
        raise UserError(f"{source.path}: `target_path` goes with one file, these are {len(paths)}")
    for path in paths:
        plain = Path(path).with_suffix("") if Path(path).suffix.lower() in _UNPACK else Path(path)
        kind = plain.suffix.lower()
        if source.target_path:
            records = _from_parallel(path, source.target_path)
        else:
            records = _KINDS.get(kind, _from_tabs)(path, source)
        unit = "record" if kind == ".parquet" else "line"
        yield from chunks(records, f"{path}, {unit}", Path(path).name, skip_bad_lines)

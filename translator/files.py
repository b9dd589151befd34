"""Sentence pairs from files: lines of tabs, CSV, JSON Lines, Parquet, two parallel files, compressed or not.

All but Parquet is read through `datasets`, as lines of text, so that quotes, `NA` and `null` stay text and a
mistake has a line number. What comes out are `Chunk`s of raw strings.
"""

from __future__ import annotations

import codecs
import csv
import errno
import glob
import gzip
import json
import lzma
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

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

_KINDS = {".csv": "csv", ".jsonl": "json", ".json": "json", ".ndjson": "json", ".parquet": "parquet"}
_COMPRESSED = (".gz", ".xz", ".zst")
_SUFFIXES = (".tsv", ".txt", *_KINDS)


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


def source_files(source: SourceConfig) -> list[str]:
    """The files that `path` stands for, in order of their names."""
    path = Path(source.path)
    if path.is_file():
        return [source.path]
    if path.is_dir():
        known = tuple(suffix + packed for suffix in _SUFFIXES for packed in ("", *_COMPRESSED))
        found = sorted(str(p) for p in path.iterdir() if p.is_file() and p.name.lower().endswith(known))
        if not found:
            raise UserError(f"{path}: a folder without files of pairs ({' '.join(_SUFFIXES)}, compressed or not)")
        return found
    found = sorted(p for p in glob.glob(source.path) if Path(p).is_file())
    if not found:
        raise UserError(f"{path}: no such file of sentence pairs")
    return found


def read_files(source: SourceConfig, folder: Path, skip_bad_lines: bool = False) -> Iterator[Chunk]:
    """All pairs of the files that `path` stands for."""
    if source.target_path:
        yield from _read_parallel(source, folder)
        return
    for path in source_files(source):
        kind = _KINDS.get(Path(_unpacked(path)).suffix.lower(), "tabs")
        if kind == "parquet":
            yield from from_tables(_parquet_tables(path), path, source, skip_bad_lines)
        else:
            reader = {"tabs": _tab_reader, "csv": _csv_reader, "json": _json_reader}[kind]
            yield from _from_lines(path, reader, source, folder, skip_bad_lines)


def _unpacked(path: str) -> str:
    """The name without the ending of its compression."""
    return path[: -len(Path(path).suffix)] if Path(path).suffix.lower() in _COMPRESSED else path


def load_datasets() -> Any:
    """The library, silent; imported here, since it takes half a second."""
    import datasets

    datasets.disable_progress_bars()
    # Else each read, of a local file too, has a server on the net count it.
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    return datasets


def _load(path: str, folder: Path) -> Iterator[Any]:
    """A file's lines as `datasets` reads them, in Arrow columns of ten thousand, memory-mapped from `folder`."""
    datasets = load_datasets()
    features = datasets.Features({"text": datasets.Value("string")})
    # A cache of its own, since the shared one takes a file with the same name and date for the same file.
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        try:
            # Unpacked here, since `datasets` would take it for whole if .zst is cut short, and read it as UTF-8
            # only where that is the locale's encoding.
            plain = _unpack(path, Path(cache) / "unpacked")
            _refuse_archive(plain, path)
            table = datasets.load_dataset(
                "text", data_files=glob.escape(plain), features=features, split="train", cache_dir=cache
            )
        except UserError:
            raise
        except ValueError:  # how `datasets` says that there is not one line
            raise UserError(f"{path}: is empty; a pair a line is wanted, english<TAB>korean") from None
        except EOFError:
            raise UserError(f"{path}: is cut short; fetch it again") from None
        except Exception as error:  # each decompressor has its own; wrong bytes come as the cause
            cause = error.__cause__ or error
            if isinstance(cause, UnicodeDecodeError):
                raise UserError(f"{path}{_not_utf8(plain)}") from None
            if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
                raise UserError(f"{folder}: no space left on this disk to unpack and read {path}") from None
            packed = Path(path).suffix.lower() in _COMPRESSED
            way_out = "; fetch it again, or rename it if it is not compressed" if packed else ""
            raise UserError(f"{path}: cannot be read ({cause}){way_out}") from None
        for part in table.with_format("arrow").iter(10_000):
            yield part.column("text")


def _unpack(path: str, to: Path) -> str:
    """Decompress a file; returns where it is to be read. Raises EOFError if it is cut short."""
    kind = Path(path).suffix.lower()
    if kind not in _COMPRESSED:
        return path
    with open(path, "rb") as packed, open(to, "wb") as file:
        if kind == ".zst":
            frame = zstandard.ZstdDecompressor().decompressobj()
            while data := packed.read(1 << 20):
                while data:  # there may be several frames
                    frame = zstandard.ZstdDecompressor().decompressobj() if frame.eof else frame
                    file.write(frame.decompress(data))
                    data = frame.unused_data
            if not frame.eof:
                raise EOFError
        else:
            with gzip.open(packed) if kind == ".gz" else lzma.open(packed) as unpacked:
                shutil.copyfileobj(unpacked, file)
    return str(to)


def _refuse_archive(plain: str, path: str) -> None:
    """An archive has files in it, and `datasets` would read them all, whatever they are, as one."""
    with open(plain, "rb") as file:
        start = file.read(8)
    if start.startswith((b"PK\x03\x04", b"7z\xbc\xaf", b"Rar!")) or tarfile.is_tarfile(plain):
        raise UserError(f"{path}: is an archive or a spreadsheet; unpack it, or save it as .csv or .tsv")


def _not_utf8(path: str) -> str:
    """Which line of a file is not UTF-8, and what to do."""
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if number == 1 and line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return ": is UTF-16; save it as UTF-8"
            try:
                line.decode()
            except UnicodeDecodeError as wrong:
                where = f", line {number}: not UTF-8 (byte {line[wrong.start]:#04x}, {wrong.reason})"
                return f"{where}; save the file as UTF-8 (Windows editors may have written CP949)"
    raise AssertionError("a line has been found before")


class _BadLineError(ValueError):
    """A line that is not a pair; the message says why."""


_Line = tuple[int, tuple[str, str] | _BadLineError]
"""A line's number, and its pair or what is wrong with it."""

_Reader = Callable[[Iterator[str], SourceConfig, str], Iterator[_Line]]


def _from_lines(
    path: str, reader: _Reader, source: SourceConfig, folder: Path, skip_bad_lines: bool
) -> Iterator[Chunk]:
    lines = (line for part in _load(path, folder) for line in part.to_pylist())
    first = next(lines).removeprefix("\ufeff")  # the byte order mark of Windows editors
    name = Path(path).name
    chunk = Chunk(name, [], [])
    for number, pair in reader(chain([first], lines), source, path):
        if isinstance(pair, _BadLineError):
            if not skip_bad_lines:
                raise UserError(
                    f"{path}, line {number}: {pair}; data.skip_bad_lines=true goes on without such lines"
                )
            chunk.bad += 1
            continue
        chunk.lines.append(number)
        chunk.pairs.append(pair)
        if len(chunk.pairs) == 10_000:
            yield chunk
            chunk = Chunk(name, [], [])
    yield chunk


def _tab_reader(lines: Iterator[str], source: SourceConfig, path: str) -> Iterator[_Line]:
    """`english<TAB>korean`, literally. Columns given by name: the first line holds the names."""
    first, wanted, start = 0, 1, 1
    by_number = source.source_column.isdecimal() and source.target_column.isdecimal()
    if by_number:
        first, wanted = int(source.source_column), int(source.target_column)
    elif source.source_column:
        names = next(lines, "").split("\t")
        first, wanted = (_find(column, names, path) for column in (source.source_column, source.target_column))
        start = 2
    for number, line in enumerate(lines, start):
        columns = line.split("\t")
        if not line.strip():
            yield number, ("", "")
        elif (len(columns) == 2) if not source.source_column else (len(columns) > max(first, wanted)):
            yield number, (columns[first], columns[wanted])
        else:
            count = f"{len(columns)} column{'s'[: len(columns) > 1]}"
            if source.source_column:
                yield number, _BadLineError(f"{count}, {max(first, wanted) + 1} or more are wanted")
            else:
                way = "; to pick two of them give source_column: 0, target_column: 1" if len(columns) > 2 else ""
                yield number, _BadLineError(f"{count}, not two (english<TAB>korean){way}")


def _csv_reader(lines: Iterator[str], source: SourceConfig, path: str) -> Iterator[_Line]:
    """Comma-separated values with a header; a quoted field may hold commas, quotes and line breaks."""
    reader = csv.reader((line + "\n" for line in lines), strict=True)
    start = 1
    try:
        names = next(reader)
        first, wanted = (_find(column, names, path) for column in _columns(names, source, path))
        while True:
            start = reader.line_num + 1
            row = next(reader, None)
            if row is None:
                return
            if not any(row):
                yield start, ("", "")
            elif len(row) != len(names):
                yield start, _BadLineError(f"{len(row)} fields, the header has {len(names)}")
            else:
                yield start, (row[first], row[wanted])
    except csv.Error as error:
        # What follows a quote that is not closed has been swallowed, so there is no going on.
        raise UserError(f"{path}, line {start}: not CSV ({error}); is a quote left open?") from None


def _json_reader(lines: Iterator[str], source: SourceConfig, path: str) -> Iterator[_Line]:
    """A JSON object a line."""
    wanted: tuple[str, str] | None = None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            yield number, ("", "")
            continue
        try:
            record = json.loads(line)
            if not isinstance(record, dict):
                raise ValueError("one JSON object a line is wanted, {...}")
            flat = _flatten(record)
        except json.JSONDecodeError as error:
            hint = "; one object a line is wanted, not a list" if line.lstrip().startswith("[") else ""
            yield number, _BadLineError(f"not JSON ({error.msg} at column {error.colno}){hint}")
            continue
        except (ValueError, RecursionError) as error:  # or a number of thousands of digits, or nested too deeply
            yield number, _BadLineError(f"not a pair ({error})")
            continue
        wanted = wanted or _columns(list(flat), source, path)
        english, korean = (flat.get(column) for column in wanted)
        if isinstance(english, str) and isinstance(korean, str):
            yield number, (english, korean)
        else:
            missing = wanted[0] if not isinstance(english, str) else wanted[1]
            yield number, _BadLineError(f"no text under {missing!r}")


def _flatten(record: dict[str, Any]) -> dict[str, Any]:
    """{"translation": {"en": …}} as {"translation.en": …}."""
    flat: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": v for inner, v in _flatten(value).items()}
        else:
            flat[key] = value
    return flat


def _columns(names: list[str], source: SourceConfig, path: str) -> tuple[str, str]:
    """The names of the English and the Korean column: those given, or the usual ones."""
    if source.source_column:
        wanted = source.source_column, source.target_column
    else:
        lower = {name.lower(): name for name in reversed(names)}
        found = [(lower[en], lower[ko]) for en, ko in COLUMNS if en in lower and ko in lower]
        if not found:
            raise UserError(
                f"{path}: which columns are English and Korean? Name them with source_column and target_column; "
                f"there are: {', '.join(names)}"
            )
        wanted = found[0]
    for column in wanted:
        _find(column, names, path)
    return wanted


def _find(column: str, names: list[str], path: str) -> int:
    if column not in names:
        raise UserError(f"{path}: no column {column!r}; there are: {', '.join(names)}")
    return names.index(column)


def _read_parallel(source: SourceConfig, folder: Path) -> Iterator[Chunk]:
    """Two plain files, line by line; a length that differs is an error before anything is used."""
    paths = [*source_files(source), source.target_path]
    if len(paths) != 2:
        raise UserError(f"{source.path}: `target_path` goes with one file, these are {len(paths) - 1}")
    if not Path(source.target_path).is_file():
        raise UserError(f"{source.target_path}: no such file of Korean lines")
    counts = [sum(map(len, _load(path, folder))) for path in paths]
    if counts[0] != counts[1]:
        raise UserError(
            f"{paths[0]} has {counts[0]:,} lines and {paths[1]} {counts[1]:,}; line n of one "
            "must translate line n of the other"
        )
    number = 1
    for english, korean in zip(*(_load(path, folder) for path in paths), strict=True):
        pairs = list(zip(english.to_pylist(), korean.to_pylist(), strict=True))
        yield Chunk(Path(paths[0]).name, list(range(number, number + len(pairs))), pairs)
        number += len(pairs)


def _parquet_tables(path: str) -> Iterator[pa.Table]:
    """A Parquet file's rows, ten thousand at a time. `datasets` would pass over a damaged file without a word."""
    try:
        for batch in pq.ParquetFile(path).iter_batches(10_000):
            yield pa.Table.from_batches([batch])
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a whole Parquet file ({str(error).splitlines()[0]})") from None


def from_tables(tables: Iterator[Any], name: str, source: SourceConfig, skip_bad_lines: bool) -> Iterator[Chunk]:
    """Arrow tables with named columns; a missing value counts as a bad line."""
    number = 0
    for table in tables:
        while any(str(kind).startswith("struct") for kind in table.schema.types):
            table = table.flatten()  # translation: {en, ko} becomes translation.en and translation.ko
        first, wanted = _columns(table.column_names, source, name)
        chunk = Chunk(Path(name).name if source.path else name, [], [])
        for pair in zip(table.column(first).to_pylist(), table.column(wanted).to_pylist(), strict=True):
            number += 1
            if isinstance(pair[0], str) and isinstance(pair[1], str):
                chunk.lines.append(number)
                chunk.pairs.append(pair)
            elif skip_bad_lines:
                chunk.bad += 1
            else:
                missing = wanted if isinstance(pair[0], str) else first
                raise UserError(
                    f"{name}, record {number}: no text under {missing!r}; "
                    "data.skip_bad_lines=true goes on without such records"
                )
        yield chunk

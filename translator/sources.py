"""Where sentence pairs come from: files of many kinds, and data sets of the Hugging Face Hub.

All but local Parquet is read through `datasets` (files as lines of text, so that quotes, `NA` and `null` stay text
and a mistake has a line number) and comes out as `Chunk`s of raw strings. Cleaning is the next step's work.
"""

from __future__ import annotations

import codecs
import csv
import glob
import gzip
import hashlib
import json
import lzma
import re
import shutil
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
from translator.errors import UserError, warn

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


def read_source(source: SourceConfig, folder: Path, skip_bad_lines: bool = False) -> Iterator[Chunk]:
    """All pairs of a source in order, some ten thousand at a time; temporary files go into `folder`.

    Whatever is wrong with it is a `UserError` that names the file, the line and the way out.
    """
    chunks = _read_hub(source, skip_bad_lines) if source.hub else _read_files(source, folder, skip_bad_lines)
    first = True
    for chunk in chunks:
        if first and _swapped(chunk):
            way_out = "name them with source_column and target_column"
            way_out += " (1 and 0 for a file of tabs)" if source.path else ""
            if source.target_path:
                way_out = "let `path` name the English lines and `target_path` the Korean ones"
            raise UserError(
                f"{source.name}: the columns look swapped, Hangul stands on the English side (as in "
                f"{next(en for en, _ in chunk.pairs if _HANGUL.search(en))[:40]!r}); {way_out}"
            )
        first = first and not chunk.pairs
        yield chunk


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


def fingerprint(source: SourceConfig) -> str:
    """Identifies what a source holds: the bytes of its files, or the data set that was asked for."""
    asked = source.hub, source.config, source.split, source.revision, bool(source.target_path)
    digest = hashlib.sha256(repr((*asked, source.source_column, source.target_column, source.cap)).encode())
    for path in [] if source.hub else [*source_files(source), *filter(None, [source.target_path])]:
        try:
            with open(path, "rb") as file:
                digest.update(Path(path).name.encode() + hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()


def _swapped(chunk: Chunk) -> bool:
    """Whether most pairs have Hangul on the English side and none on the Korean one."""
    wrong = sum(bool(_HANGUL.search(en)) and not _HANGUL.search(ko) for en, ko in chunk.pairs)
    return wrong * 2 > sum(bool(en and ko) for en, ko in chunk.pairs)


_HANGUL = re.compile("[가-힣]")


# ---- files ----------------------------------------------------------------------------------------------------


def _read_files(source: SourceConfig, folder: Path, skip_bad_lines: bool) -> Iterator[Chunk]:
    if source.target_path:
        yield from _read_parallel(source, folder)
        return
    for path in source_files(source):
        kind = _KINDS.get(Path(_unpacked(path)).suffix.lower(), "tabs")
        if kind == "parquet":
            yield from _from_tables(_parquet_tables(path), path, source, skip_bad_lines)
        else:
            reader = {"tabs": _tab_reader, "csv": _csv_reader, "json": _json_reader}[kind]
            yield from _from_lines(path, reader, source, folder, skip_bad_lines)


def _unpacked(path: str) -> str:
    """The name without the ending of its compression."""
    return path[: -len(Path(path).suffix)] if Path(path).suffix.lower() in _COMPRESSED else path


def _datasets() -> Any:
    """The library, silent; imported here, since it takes half a second."""
    import datasets

    datasets.disable_progress_bars()
    # Else each read, of a local file too, has a server on the net count it.
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False
    return datasets


def _load(path: str, folder: Path) -> Iterator[Any]:
    """A file's lines as `datasets` reads them, in Arrow columns of ten thousand, memory-mapped from `folder`."""
    datasets = _datasets()
    features = datasets.Features({"text": datasets.Value("string")})
    # A cache of its own, since the shared one takes a file with the same name and date for the same file.
    with tempfile.TemporaryDirectory(dir=folder) as cache:
        try:
            # Unpacked here, since `datasets` would take it for whole if .zst is cut short, and read it as UTF-8
            # only where that is the locale's encoding.
            plain = _unpack(path, Path(cache) / "unpacked")
            table = datasets.load_dataset(
                "text", data_files=glob.escape(plain), features=features, split="train", cache_dir=cache
            )
        except ValueError:  # how `datasets` says that there is not one line
            raise UserError(f"{path}: is empty; a pair a line is wanted, english<TAB>korean") from None
        except EOFError:
            raise UserError(f"{path}: is cut short; fetch it again") from None
        except Exception as error:  # each decompressor has its own; wrong bytes come as the cause
            cause = error.__cause__ or error
            reason = _not_utf8(plain) if isinstance(cause, UnicodeDecodeError) else f": cannot be read ({cause})"
            raise UserError(f"{path}{reason}") from None
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
                raise ValueError("a JSON object is wanted, {...}")
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


def _from_tables(tables: Iterator[Any], name: str, source: SourceConfig, skip_bad_lines: bool) -> Iterator[Chunk]:
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


# ---- the Hub --------------------------------------------------------------------------------------------------


def _read_hub(source: SourceConfig, skip_bad_lines: bool) -> Iterator[Chunk]:
    """A data set of the Hub, downloaded by `datasets` into its own cache."""
    _ask_hub(source)
    try:
        table = _datasets().load_dataset(
            source.hub, source.config or None, split=source.split, revision=source.revision or None
        )
    except Exception as error:  # whatever it is, httpx's, pyarrow's or its own, it is about this data set
        raise UserError(f"{source.hub}: {_hub_reason(source, error)}") from None
    yield from _from_tables(table.with_format("arrow").iter(10_000), source.name, source, skip_bad_lines)


def _ask_hub(source: SourceConfig) -> None:
    """Find out in seconds what `datasets` would retry for half a minute: whether the data set can be had.

    Takes the licence over from the data set's card if the configuration names none.
    """
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import (
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    if constants.HF_HUB_OFFLINE:
        return
    instead = "give a local file instead, as `path`"
    try:
        info = HfApi().dataset_info(source.hub, revision=source.revision or None, timeout=25)
    except HFValidationError:
        raise UserError(f"{source.hub}: not a data set's id, owner/name; for a file write `path`") from None
    except RepositoryNotFoundError:
        raise UserError(
            f"{source.hub}: no such data set on the Hub, or not a public one (401 or 404); check the id, log in "
            f"with `hf auth login`, or {instead}"
        ) from None
    except RevisionNotFoundError:
        raise UserError(f"{source.hub}: no revision {source.revision!r} there") from None
    except HfHubHTTPError as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"{source.hub}: the Hub answered {reason}; try again, or {instead}") from None
    except Exception as error:  # no connection: the HTTP library's errors have no base that is not its own
        raise UserError(
            f"{source.hub}: the Hub at {constants.ENDPOINT} cannot be reached ({error or type(error).__name__}); "
            f"{instead}, or if it was downloaded before, set HF_HUB_OFFLINE=1"
        ) from None
    if not source.licence and info.card_data is not None:
        licence = info.card_data.get("license")
        source.licence = " ".join(licence) if isinstance(licence, list) else str(licence or "")


def _hub_reason(source: SourceConfig, error: Exception) -> str:
    """What went wrong with a data set of the Hub, and the way out."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    text = " ".join(str(cause).split()) or type(cause).__name__
    if "OfflineModeIsEnabled" in text:
        return (
            "not downloaded yet; unset HF_HUB_OFFLINE to have it fetched, or give a local file instead, as `path`"
        )
    if "scripts are no longer supported" in text:
        return (
            "is made by a script, which `datasets` no longer runs; the Hub's own copy often works: "
            "revision: refs/convert/parquet"
        )
    return f"cannot be loaded ({text[:300]}); try again, or give a local file instead, as `path`"


def announce_licence(source: SourceConfig) -> None:
    """Say so if the licence forbids something that a user may mean to do."""
    parts = re.split("[^a-z]+", source.licence.lower())
    forbidden = [what for mark, what in [("nc", "commercial use"), ("nd", "derivatives")] if mark in parts]
    if forbidden:
        warn(f"{source.name}: its licence, {source.licence}, forbids {' and '.join(forbidden)}")

"""Where sentence pairs come from: files, or data sets of the Hub. Cleaning is the next step's work."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

from translator.config import SourceConfig
from translator.errors import UserError, warn
from translator.files import Chunk, read_files, source_files
from translator.hub import read_hub

_HANGUL = re.compile("[가-힣]")


def read_source(source: SourceConfig, skip_bad_lines: bool = False) -> Iterator[Chunk]:
    """All pairs of a source in order, some ten thousand at a time.

    Whatever is wrong with it is a `UserError` that names the file, the line and the way out.
    """
    chunks = read_hub(source, skip_bad_lines) if source.hub else read_files(source, skip_bad_lines)
    looked_at = ""
    for chunk in chunks:
        if chunk.file != looked_at and _swapped(chunk):
            way_out = "name them with source_column and target_column"
            if source.path:
                picked = f"{{path: {source.path}, source_column: 1, target_column: 0}}"
                way_out += f", in a file of tabs by their numbers: data.sources='{picked}'"
            if source.target_path:
                way_out = "let `path` name the English lines and `target_path` the Korean ones"
            raise UserError(
                f"{chunk.file}: the columns look swapped, Hangul stands on the English side (as in "
                f"{next(en for en, _ in chunk.pairs if _HANGUL.search(en))[:40]!r}); {way_out}"
            )
        looked_at = chunk.file if chunk.pairs else looked_at
        yield chunk


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


def announce_licence(source: SourceConfig) -> None:
    """Say so if the licence forbids something that a user may mean to do."""
    parts = re.split("[^a-z]+", source.licence.lower())
    forbidden = [what for mark, what in [("nc", "commercial use"), ("nd", "derivatives")] if mark in parts]
    if forbidden:
        warn(f"{source.name}: its licence, {source.licence}, forbids {' and '.join(forbidden)}")

"""Sentence pairs, ready to be learnt from: cleaned, without duplicates, and none of them in validation or test.

A corpus is made once and kept as memory-mapped Arrow files in a cache, under a fingerprint of all that went into
it, so it may be far larger than memory. Making it is two passes: the first reads the sources and applies the rules
that need one pair only, the second those that need all of them, on 64-bit hashes of the sentences.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from translator.atomic import damaged, make_once
from translator.cleaning import fault, letters
from translator.config import DataConfig, SourceConfig
from translator.errors import UserError
from translator.sources import announce_licence, fingerprint, read_source
from translator.tokenizer import normalize

Pair = tuple[str, str]
"""An English sentence and its Korean translation, both normalised."""

_SCHEMA = pa.schema(
    [("english", pa.string()), ("korean", pa.string()), ("source", pa.uint16()), ("file", pa.uint16()),
     ("line", pa.uint32())]
)  # fmt: skip


class Pairs(Sequence[Pair]):
    """Pairs in a memory-mapped Arrow file."""

    def __init__(self, path: Path) -> None:
        self.table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, i: int) -> Pair:  # type: ignore[override]  # no slices
        if not 0 <= i < len(self):
            raise IndexError(i)
        return self.table["english"][i].as_py(), self.table["korean"][i].as_py()

    def __iter__(self) -> Iterator[Pair]:
        return (pair for chunk in self.chunks() for pair in chunk)

    def chunks(self) -> Iterator[list[Pair]]:
        """All pairs, some thousands at a time."""
        for batch in self.table.to_batches():
            yield list(zip(batch["english"].to_pylist(), batch["korean"].to_pylist(), strict=True))


@dataclass
class Corpus:
    """What a run trains on, and what it is validated by."""

    train: Pairs
    weights: np.ndarray
    """(N,): how often each training pair stands in an epoch, on average; its source's weight."""
    validation: list[Pair]
    report: dict[str, Any]
    """Sources, counts, and what cleaning dropped and why: the run's corpus.json."""


def load_corpus(config: DataConfig, cache: Path) -> Corpus:
    """Clean and split all that `config` names, or take it from `cache` if that has been done before."""
    if not config.sources:
        raise UserError("data.sources is empty: name a file of english<TAB>korean lines, data.sources=my.tsv")
    folder = cache / f"corpus-{_key(config)}"
    make_once(folder, lambda aside: _make(config, aside))
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        train = Pairs(folder / "train.arrow")
        validation = [(en, ko) for en, ko in json.loads((folder / "validation.json").read_text(encoding="utf-8"))]
    except (OSError, ValueError) as error:  # pyarrow's are of these kinds too
        raise damaged(folder, error) from None
    for source, described in zip(config.sources, report["sources"], strict=True):
        announce_licence(dataclasses.replace(source, licence=described["licence"]))
    weights = np.array([source.weight for source in config.sources])[train.table["source"].to_numpy()]
    digest = hashlib.sha256(f"{report['fingerprint']} {[source.weight for source in config.sources]}".encode())
    report["fingerprint"] = digest.hexdigest()[:16]
    return Corpus(train, weights, validation, report)


def read_pairs(source: SourceConfig | str, skip_bad_lines: bool = False) -> list[Pair]:
    """All pairs of a source or a file, normalised; those of two empty sides are left out, nothing else."""
    source = SourceConfig(path=source) if isinstance(source, str) else source
    chunks = read_source(source, skip_bad_lines)
    pairs = [(normalize(en), normalize(ko)) for chunk in chunks for en, ko in chunk.pairs]
    kept = [pair for pair in pairs if any(pair)]
    if source.cap:
        kept = sorted(kept, key=lambda pair: _hash("\t".join(pair)))[: source.cap]
    return kept


def _key(config: DataConfig) -> str:
    """Of everything that a corpus is made from: the files' bytes, the rules, and the code that applies them."""
    digest = hashlib.sha256()
    for module in ("tokenizer", "cleaning", "files", "hub", "sources", "corpus"):
        digest.update(Path(__file__).with_name(f"{module}.py").read_bytes())
    for part in (config.sources, config.validation, config.test):
        digest.update(" ".join(fingerprint(source) for source in part).encode() + b";")
    rules = dataclasses.replace(config, sources=[], validation=[], test=[], max_pieces=2)
    digest.update(json.dumps(dataclasses.asdict(rules), sort_keys=True).encode())
    return digest.hexdigest()[:16]


_Example = tuple[int, str, int, str, str]
"""A pair's hash, the file and the line it stands in, English, Korean."""


@dataclass
class _Dropped:
    """How many pairs each rule dropped, and a few of them, chosen by hash."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[_Example]] = field(default_factory=dict)

    def add(self, reason: str, examples: list[_Example], count: int) -> None:
        """Count pairs, of which some are given."""
        self.counts[reason] = self.counts.get(reason, 0) + count
        kept = self.examples.setdefault(reason, [])
        kept += examples
        if len(kept) > 64:
            kept[:] = sorted(kept)[:3]

    def described(self) -> dict[str, Any]:
        """For corpus.json."""
        names = ("file", "line", "english", "korean")
        examples = {
            reason: [dict(zip(names, row[1:], strict=True)) for row in sorted(rows)[:3]]
            for reason, rows in self.examples.items()
        }
        return {"dropped": self.counts, "examples": examples}


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def _make(config: DataConfig, folder: Path) -> None:
    """Write train.arrow, validation.json and report.json into `folder`."""
    tests = [read_pairs(source, config.skip_bad_lines) for source in config.test]
    held_out = {_hash(letters(side)) for pairs in tests for pair in pairs for side in pair}
    named = [pair for source in config.validation for pair in read_pairs(source, config.skip_bad_lines)]
    validation = [pair for pair in named if not any(_hash(letters(side)) in held_out for side in pair)]
    shared = len(named) - len(validation)
    if config.validation and not validation:
        raise UserError(f"no validation pair is left: data.validation has {shared:,}, all of them in data.test")
    held_out |= {_hash(letters(side)) for pair in validation for side in pair}

    dropped = _Dropped()
    first = _first_pass(config, folder, held_out, dropped)
    candidates = Pairs(folder / "candidates.arrow")
    keep = _second_pass(config, first, candidates, dropped)
    if not config.validation and keep.any():
        keep, chosen = _hold_out(config, first, candidates, keep, dropped)
        validation = [candidates[i] for i in chosen]
    if not keep.any():
        counts = ", ".join(f"{count:,} {reason}" for reason, count in dropped.counts.items())
        raise UserError(f"no training pair is left after cleaning; dropped: {counts or 'none, there was not one'}")

    digest = _write_kept(candidates, keep, folder / "train.arrow")
    kept = np.bincount(candidates.table["source"].to_numpy()[keep], minlength=len(config.sources))
    del candidates
    (folder / "candidates.arrow").unlink()
    for described, count in zip(first.sources, kept.tolist(), strict=True):
        described["kept"] = count
    report = {
        "sources": first.sources,
        "changed by normalising": first.changed,
        **dropped.described(),
        "train": int(keep.sum()),
        "validation": len(validation),
        "validation pairs dropped, in test": shared,
        "test": {source.name: len(pairs) for source, pairs in zip(config.test, tests, strict=True)},
        "fingerprint": digest,
    }
    for name, content in (("report", report), ("validation", validation)):
        (folder / f"{name}.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _write_kept(candidates: Pairs, keep: np.ndarray, path: Path) -> str:
    """Write the candidates to keep; returns a digest of their text and sources."""
    digest, start = hashlib.sha256(), 0
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, _SCHEMA) as writer:
        for batch in candidates.table.to_batches():
            kept = batch.filter(pa.array(keep[start : start + len(batch)]))
            start += len(batch)
            writer.write_batch(kept)
            columns = [kept[name].to_pylist() for name in ("english", "korean", "source")]
            for english, korean, source in zip(*columns, strict=True):
                digest.update(f"{english}\t{korean}\t{source}\n".encode())
    return digest.hexdigest()


@dataclass
class _Candidates:
    """What the second pass knows of the pairs that the first one let through."""

    english: np.ndarray
    """Hash of each English sentence's letters, 64 bits."""
    korean: np.ndarray
    files: list[str]
    sources: list[dict[str, Any]]
    changed: int

    @property
    def pair(self) -> np.ndarray:
        """Hash of both sides."""
        both: np.ndarray = self.english * np.uint64(0x9E3779B97F4A7C15) ^ self.korean
        return both


def _first_pass(config: DataConfig, folder: Path, held_out: set[int], dropped: _Dropped) -> _Candidates:
    """Read, normalise and clean every source pair by pair; those that pass go to candidates.arrow."""
    files: list[str] = []
    described: list[dict[str, Any]] = []
    tables = [np.empty((0, 2), np.uint64)]
    changed = 0
    with pa.OSFile(str(folder / "candidates.arrow"), "wb") as out, pa.ipc.new_file(out, _SCHEMA) as writer:
        for number, source in enumerate(config.sources):
            read = bad = 0
            for chunk in read_source(source, config.skip_bad_lines):
                if chunk.file not in files:
                    files.append(chunk.file)
                file = files.index(chunk.file)
                passed: list[tuple[str, str, int, int, int]] = []
                hashes: list[tuple[int, int]] = []
                read, bad = read + len(chunk.pairs), bad + chunk.bad
                for line, raw in zip(chunk.lines, chunk.pairs, strict=True):
                    pair = normalize(raw[0]), normalize(raw[1])
                    changed += pair != raw
                    reason = fault(raw, pair, config.cleaning)
                    if reason is None:
                        both = _hash(letters(pair[0])), _hash(letters(pair[1]))
                        if both[0] in held_out or both[1] in held_out:
                            reason = "in validation or test"
                    if reason is not None:
                        dropped.add(reason, [(_hash("\t".join(pair)), chunk.file, line, *pair)], 1)
                        continue
                    passed.append((*pair, number, file, line))
                    hashes.append(both)
                if passed:
                    writer.write_batch(pa.record_batch(list(map(list, zip(*passed, strict=True))), schema=_SCHEMA))
                    tables.append(np.array(hashes, np.uint64))
            described.append(
                {"name": source.name, "licence": source.licence, "pairs": read, "bad lines skipped": bad}
            )
    english, korean = (np.concatenate([table[:, side] for table in tables]) for side in (0, 1))
    return _Candidates(english, korean, files, described, changed)


def _second_pass(config: DataConfig, all_: _Candidates, pairs: Pairs, dropped: _Dropped) -> np.ndarray:
    """Which candidates stay, (N,) of bool, after the rules that look at all of them."""
    keep = np.ones(len(pairs), bool)

    def drop(rows: np.ndarray, reason: str) -> None:
        keep[rows] = False
        _describe_dropped(rows, reason, all_, pairs, dropped)

    if config.cleaning.duplicates:
        drop(_later_than(all_.pair, 1, keep), "duplicate")
    if limit := config.cleaning.max_repeats:
        for side in (all_.english, all_.korean):
            drop(_later_than(side, limit, keep), "one side repeated")
    origin = pairs.table["source"].to_numpy()
    for number, source in enumerate(config.sources):
        rows = np.flatnonzero(keep & (origin == number))
        if source.cap and len(rows) > source.cap:
            drop(rows[np.argsort(all_.pair[rows], kind="stable")[source.cap :]], "over the source's cap")
    return keep


def _later_than(hashes: np.ndarray, limit: int, keep: np.ndarray) -> np.ndarray:
    """Rows, among those to keep, before which their hash has occurred `limit` times."""
    rows = np.flatnonzero(keep)
    rows = rows[np.argsort(hashes[rows], kind="stable")]  # equal hashes together, each in the order of the corpus
    sorted_ = hashes[rows]
    return np.sort(rows[limit:][sorted_[limit:] == sorted_[:-limit]])


def _among(hashes: np.ndarray, few: np.ndarray) -> np.ndarray:
    """Which of many hashes are among a few, (N,) of bool: `np.isin` would sort the many, and copies of them."""
    few = np.unique(few)
    found: np.ndarray = few[np.searchsorted(few, hashes).clip(max=len(few) - 1)] == hashes
    return found


def _hold_out(
    config: DataConfig, all_: _Candidates, pairs: Pairs, keep: np.ndarray, dropped: _Dropped
) -> tuple[np.ndarray, list[int]]:
    """Hold out the English sentences whose hash is small, and all that shares a sentence with them.

    Returns what stays for training, and the rows to validate on.
    """
    held = keep & (all_.english < np.uint64(int(config.validation_share * 2**64)))
    rows = np.flatnonzero(held)
    if not len(rows):
        raise UserError(
            f"too few training pairs, {int(keep.sum()):,}, to hold out {config.validation_share:.1%} of them for "
            "validation: name a file as data.validation, or raise data.validation_share"
        )
    chosen = rows[np.argsort(all_.english[rows], kind="stable")][: config.validation_size]
    sentences = np.r_[all_.english[held], all_.korean[held]]
    touched = keep & ~held & (_among(all_.english, sentences) | _among(all_.korean, sentences))
    unused = np.setdiff1d(rows, chosen)
    _describe_dropped(np.flatnonzero(touched), "in validation or test", all_, pairs, dropped)
    _describe_dropped(unused, "held out, beyond validation_size", all_, pairs, dropped)
    return keep & ~held & ~touched, sorted(chosen.tolist())


def _describe_dropped(rows: np.ndarray, reason: str, all_: _Candidates, pairs: Pairs, dropped: _Dropped) -> None:
    if len(rows):
        few = rows[np.argsort(all_.pair[rows], kind="stable")[:3]]
        examples = [
            (number, all_.files[pairs.table["file"][i].as_py()], pairs.table["line"][i].as_py(), *pairs[i])
            for number, i in zip(all_.pair[few].tolist(), few.tolist(), strict=True)
        ]
        dropped.add(reason, examples, len(rows))


def summary(report: dict[str, Any]) -> str:
    """The report as a table to read."""
    lines = []
    for source in report["sources"]:
        bad = f", {source['bad lines skipped']:,} bad lines skipped" if source["bad lines skipped"] else ""
        licence = f"   {source['licence']}" if source["licence"] else ""
        lines.append(f"{source['pairs']:>12,}  {source['name']}: {source['kept']:,} kept{bad}{licence}")
    dropped = sorted(report["dropped"].items(), key=lambda item: -item[1])
    lines += [f"{-count:>12,}  {reason}" for reason, count in dropped]
    if held := report["validation"]:
        lines.append(f"{held:>12,}  for validation")
    return "\n".join([*lines, f"{report['train']:>12,}  for training"])

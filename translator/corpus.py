"""Sentence pairs: read, clean, and keep the test sentences out of training."""

from __future__ import annotations

import glob
import hashlib
import tempfile
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from translator.config import DataConfig
from translator.errors import UserError
from translator.tokenizer import normalize

Pair = tuple[str, str]
"""An English sentence and its Korean translation, both normalised."""


@dataclass
class Corpus:
    """What a run trains on, and what it is judged by."""

    train: list[Pair]
    weights: list[float]
    """Of each training pair: how often it stands in an epoch, on average."""
    validation: list[Pair]
    test: dict[str, list[Pair]]
    """By the stem of the file's name."""
    report: dict[str, object] = field(default_factory=dict)
    """Sources, counts, and what cleaning dropped and why: the run's corpus.json."""


def load_corpus(config: DataConfig) -> Corpus:
    """Read, clean and split every file that `config` names."""
    if not config.sources:
        raise UserError("data.sources is empty: name a file of english<TAB>korean lines, data.sources=my.tsv")
    sources: list[dict[str, object]] = []
    weights: dict[Pair, float] = {}  # of a pair in several sources, the first's
    pairs: list[Pair] = []
    for source in config.sources:
        found, bad = read_pairs(source.path, config.skip_bad_lines)
        sources.append({"file": Path(source.path).name, "pairs": len(found), "bad lines skipped": bad})
        pairs += found
        weights = dict.fromkeys(found, source.weight) | weights
    test: dict[str, list[Pair]] = {}
    for path in config.test:  # files of one name in two folders count as one
        test.setdefault(Path(path).stem, []).extend(read_pairs(path, config.skip_bad_lines)[0])
    validation = read_pairs(config.validation, config.skip_bad_lines)[0] if config.validation else []
    held_out = {letters(s) for pairs_ in (validation, *test.values()) for pair in pairs_ for s in pair}

    train, dropped = clean(pairs, config, held_out)
    if not validation:
        before = len(train)
        train, validation = hold_out(train, config.validation_size)
        dropped["in validation or test"] += before - len(train) - len(validation)
    if not train:
        raise UserError(f"no training pair is left after cleaning; dropped: {dict(dropped)}")
    report: dict[str, object] = {
        "sources": sources,
        "dropped": dict(dropped),
        "train": len(train),
        "validation": len(validation),
        "test": {name: len(found) for name, found in test.items()},
    }
    return Corpus(train, [weights[pair] for pair in train], validation, test, report)


def read_pairs(path: str, skip_bad_lines: bool = False) -> tuple[list[Pair], int]:
    """Read `english<TAB>korean` lines literally (quotes, `NA` and `null` are text); returns the pairs and
    how many bad lines were skipped.

    Empty lines and empty sides come through, for cleaning to drop and count. A line that is not two columns is
    a `UserError` that gives its number.
    """
    import datasets  # here, since it takes half a second

    if not Path(path).is_file():
        raise UserError(f"{path}: no such file of sentence pairs")
    datasets.disable_progress_bars()
    datasets.config.HF_UPDATE_DOWNLOAD_COUNTS = False  # or each read of a local file asks a server to count it
    try:
        # A cache of its own, since the shared one takes a file with the same name and date for the same file.
        with tempfile.TemporaryDirectory() as cache:
            table = datasets.load_dataset(
                "text",
                data_files=glob.escape(path),
                split="train",
                features=datasets.Features({"text": datasets.Value("string")}),
                cache_dir=cache,
                keep_in_memory=True,
            )
    except datasets.exceptions.DatasetGenerationError as error:
        cause = error.__cause__
        reason = f"not UTF-8 ({cause.reason})" if isinstance(cause, UnicodeDecodeError) else cause
        raise UserError(f"{path}: cannot be read: {reason}") from None
    except ValueError:  # how `datasets` says that there is not one line
        raise UserError(f"{path}: is empty; a pair a line is wanted, english<TAB>korean") from None
    pairs, bad = [], 0
    for number, line in enumerate(table.data.column("text").to_pylist(), start=1):
        columns = line.split("\t") if line.strip() else ["", ""]
        if len(columns) == 2:
            pairs.append((normalize(columns[0]), normalize(columns[1])))
        elif skip_bad_lines:
            bad += 1
        else:
            raise UserError(
                f"{path}, line {number}: {len(columns)} column{'s'[: len(columns) > 1]}, not two "
                "(english<TAB>korean); training with data.skip_bad_lines=true goes on without such lines"
            )
    return pairs, bad


def letters(sentence: str) -> str:
    """What counts when two sentences are compared: letters and digits, in lower case.

    >>> letters("I am a student.") == letters("i am a student!")
    True
    """
    return "".join(c for c in sentence.lower() if c.isalnum())


def clean(pairs: Iterable[Pair], config: DataConfig, held_out: set[str]) -> tuple[list[Pair], Counter[str]]:
    """Drop what would teach nothing or give the test away; returns the rest and the count of each reason."""
    kept: dict[Pair, None] = {}
    dropped: Counter[str] = Counter()
    for pair in pairs:
        reason = _fault(pair, config, held_out) or ("duplicate" if pair in kept else None)
        if reason:
            dropped[reason] += 1
        else:
            kept[pair] = None
    return list(kept), dropped


def _fault(pair: Pair, config: DataConfig, held_out: set[str]) -> str | None:
    """Why a pair cannot be used, or None."""
    english, korean = pair
    if not letters(english) or not letters(korean):
        return "no letters on a side"
    if letters(english) == letters(korean):
        return "not translated"
    short, long = sorted((len(english.split()), len(korean.split())))
    if long > config.max_words:
        return "too long"
    if long > config.max_ratio * (short + 2):
        return "lengths differ too much"
    if letters(english) in held_out or letters(korean) in held_out:
        return "in validation or test"
    return None


def hold_out(pairs: list[Pair], size: int) -> tuple[list[Pair], list[Pair]]:
    """Split off `size` pairs, chosen by the hash of their text, none of whose sentences stays on either side."""
    if size * 2 > len(pairs):
        raise UserError(
            f"{len(pairs)} training pairs are too few to hold out {size} for validation: "
            "name a file as data.validation, or lower data.validation_size"
        )
    chosen = sorted(pairs, key=lambda pair: hashlib.sha256("\t".join(pair).encode()).digest())[:size]
    held_out = {letters(sentence) for pair in chosen for sentence in pair}
    rest = [p for p in pairs if letters(p[0]) not in held_out and letters(p[1]) not in held_out]
    return rest, chosen

"""From a configuration to a run directory that is ready to train: clean pairs, tokenizers, ids, known words."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from translator.atomic import damaged, make_once
from translator.batching import Example, Examples, TrainingData
from translator.checkpoint import RunDirectory
from translator.config import Config
from translator.corpus import Corpus, load_corpus
from translator.errors import UserError, warn
from translator.tokenizer import Tokenizer, split_words

FIXED = (
    "seed", "tokenizer.", "model.", "data.max_pieces", "train.batch_tokens", "train.optimizer", "train.init_from",
    "validation.metric",
)  # fmt: skip
"""Beginnings of the settings that a run keeps from its first step to its last; the others may change."""


def prepare(config: Config, run: RunDirectory) -> tuple[Corpus, TrainingData]:
    """Read the corpus and make sure that `run` holds the configuration and the tokenizers that fit it.

    What takes long is kept in `.cache` beside the run, for this run's next sitting and for other runs.
    """
    cache = cache_folder(config)
    corpus = load_corpus(config.data, cache)
    if (run.path / "tokenizer" / "en.words").is_file():  # what preparing writes last
        _check_unchanged(config, corpus, run)
    else:
        run.save_config(config)
    tokenizers = prepare_tokenizers(config, corpus, run)
    data = _tokenize(config, corpus, tokenizers, cache)
    if run.report() != corpus.report:  # of several processes, the first has written it
        run.save_report(corpus.report)
    return corpus, data


def cache_folder(config: Config) -> Path:
    """Where cleaned and tokenised corpora are kept; may be deleted at any time."""
    return Path(config.run_dir).parent / ".cache"


def prepare_tokenizers(config: Config, corpus: Corpus, run: RunDirectory) -> tuple[Tokenizer, Tokenizer]:
    """Train the tokenizers that are missing, or take those of `train.init_from`; the English one, the Korean."""
    if not (run.path / "tokenizer" / "en.words").is_file():
        base = RunDirectory.open(config.train.init_from) if config.train.init_from else None
        if base:
            _check_same_model(config, base)
        sides = {"en": ("English", config.tokenizer.english_size), "ko": ("Korean", config.tokenizer.korean_size)}
        for side, (language, (name, size)) in enumerate(sides.items()):
            if base:
                run.save_tokenizer(language, base.tokenizer(language))
                continue
            lines = (pair[side] for chunk in corpus.train.chunks() for pair in chunk)
            tokenizer = Tokenizer.train(lines, size, config.tokenizer)
            if tokenizer.size < size:
                warn(f"the corpus is small: {tokenizer.size:,} {name} pieces instead of {size:,}")
            run.save_tokenizer(language, tokenizer)
        tokens = {token for chunk in corpus.train.chunks() for english, _ in chunk for token in english.split()}
        words = {word.lower() for token in tokens for word in split_words(token)}
        run.save_known_words(words | (base.known_words() if base else set()))
    return run.tokenizer("en"), run.tokenizer("ko")


def changed_settings(before: Config, now: Config) -> dict[str, tuple[Any, Any]]:
    """Settings whose value is another now: {"train.max_steps": (100, 200)}."""
    old, new = dataclasses.asdict(before), dataclasses.asdict(now)
    return {name: (a, b) for key in old for name, a, b in _differences(key, old[key], new[key])}


def _tokenize(
    config: Config, corpus: Corpus, tokenizers: tuple[Tokenizer, Tokenizer], cache: Path
) -> TrainingData:
    """The ids of all training pairs that are not too long, from the cache if they are there."""
    limit = config.data.max_pieces
    key = f"{corpus.report['fingerprint']} {limit} {' '.join(t.fingerprint for t in tokenizers)}"
    folder = cache / f"ids-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def fill(aside: Path) -> None:
        rows: list[np.ndarray] = []

        def kept() -> Iterator[list[Example]]:
            start = 0
            for chunk in corpus.train.chunks():
                sides = [t.encode_lines([pair[side] for pair in chunk]) for side, t in enumerate(tokenizers)]
                fits = np.array([max(len(en), len(ko)) <= limit for en, ko in zip(*sides, strict=True)], bool)
                rows.append(start + np.flatnonzero(fits))
                start += len(chunk)
                yield [pair for pair, fit in zip(zip(*sides, strict=True), fits, strict=True) if fit]

        Examples.write(aside, kept())
        np.save(aside / "rows.npy", np.concatenate(rows))

    make_once(folder, fill)
    try:
        rows = np.load(folder / "rows.npy", mmap_mode="r")
        examples = Examples(folder)
        if len(rows) != len(examples):
            raise ValueError(f"{len(rows):,} rows, {len(examples):,} pairs of ids")
    except (OSError, ValueError, EOFError) as error:
        raise damaged(folder, error) from None
    if too_long := len(corpus.train) - len(rows):
        corpus.report["dropped"][f"over {limit} pieces"] = too_long
        corpus.report["train"] = len(rows)
    if not len(rows):
        raise UserError(f"no training pair has {limit} pieces or fewer (data.max_pieces)")

    alpha = config.tokenizer.sampling

    def cut_anew(i: int, epoch: int) -> Example:
        english, korean = (
            tokenizer.sample(text, alpha, _seed(config.seed, epoch, i, side))
            for side, (tokenizer, text) in enumerate(zip(tokenizers, corpus.train[int(rows[i])], strict=True))
        )
        return english, korean

    return TrainingData(examples, examples.lengths, corpus.weights[rows], cut_anew if alpha else None)


def _seed(*numbers: int) -> int:
    """A seed of 32 bits for these numbers, unrelated to that of others."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=4).digest(), "little")


def _check_unchanged(config: Config, corpus: Corpus, run: RunDirectory) -> None:
    """Refuse to go on with a run whose data or model has been changed under it."""
    way_out = "Train it in a new folder (run_dir=...), or delete this one."
    for name, (before, now) in changed_settings(run.config(), config).items():
        if name.startswith(FIXED):
            raise UserError(f"{run.path} was begun with {name}={before}, now it is {now}. {way_out}")
    if run.report().get("fingerprint") != corpus.report["fingerprint"]:
        raise UserError(f"{run.path} was begun with other training pairs or weights. {way_out}")


def _check_same_model(config: Config, base: RunDirectory) -> None:
    """Refuse to start from weights that fit another model; dropout may be another."""
    for name, (before, now) in changed_settings(base.config(), config).items():
        if name.startswith("model.") and "dropout" not in name:
            raise UserError(f"train.init_from: {base.path} has {name}={before}, here it is {now}")


def _differences(name: str, before: Any, now: Any) -> Iterable[tuple[str, Any, Any]]:
    if isinstance(before, dict):
        for key in before:
            yield from _differences(f"{name}.{key}", before[key], now[key])
    elif before != now:
        yield name, before, now

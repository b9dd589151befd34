"""From a configuration to a run directory that is ready to train: clean pairs, tokenizers, known words."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np

from translator.batching import TrainingData
from translator.checkpoint import RunDirectory
from translator.config import Config
from translator.corpus import Corpus, Pair, load_corpus
from translator.errors import UserError
from translator.tokenizer import Tokenizer, split_words

FIXED = (
    "seed", "tokenizer", "model", "train.batch_tokens", "train.optimizer", "train.init_from", "validation.metric",
)  # fmt: skip
"""Settings that a run keeps from its first step to its last; the others may change between sittings."""


def prepare(config: Config, run: RunDirectory) -> tuple[Corpus, TrainingData]:
    """Read the corpus and make sure that `run` holds the configuration and the tokenizers that fit it."""
    corpus = load_corpus(config.data)
    corpus.report["fingerprint"] = fingerprint(corpus.train, corpus.weights)
    if (run.path / "tokenizer" / "en.words").is_file():  # what preparing writes last
        _check_unchanged(config, corpus, run)
    else:
        run.save_report(corpus.report)
        run.save_config(config)
    prepare_tokenizers(config, corpus, run)
    english, korean = run.tokenizer("en"), run.tokenizer("ko")
    examples = [(english.encode(source), korean.encode(target)) for source, target in corpus.train]
    lengths = np.array([(len(source), len(target)) for source, target in examples])
    return corpus, TrainingData(examples, lengths, np.array(corpus.weights))


def prepare_tokenizers(config: Config, corpus: Corpus, run: RunDirectory) -> None:
    """Train the tokenizers that are missing, or take those of the run that training starts from."""
    if (run.path / "tokenizer" / "en.words").is_file():
        return
    words = {word.lower() for line, _ in corpus.train for word in split_words(line)}
    if config.train.init_from:
        base = RunDirectory.open(config.train.init_from)
        _check_same_model(config, base)
        for language in ("en", "ko"):
            run.save_tokenizer(language, base.tokenizer(language))
        words |= base.known_words()
    else:
        sides = {
            "en": ([english for english, _ in corpus.train], config.tokenizer.english_size),
            "ko": ([korean for _, korean in corpus.train], config.tokenizer.korean_size),
        }
        for language, (lines, size) in sides.items():
            run.save_tokenizer(language, Tokenizer.train(lines, size, config.tokenizer))
    run.save_known_words(words)


def changed_settings(before: Config, now: Config) -> dict[str, tuple[Any, Any]]:
    """Settings whose value is another now: {"train.max_steps": (100, 200)}."""
    old, new = dataclasses.asdict(before), dataclasses.asdict(now)
    return {name: (a, b) for key in old for name, a, b in _differences(key, old[key], new[key])}


def fingerprint(pairs: Iterable[Pair], weights: Iterable[float]) -> str:
    """Identifies the training pairs, their order and their weights."""
    digest = hashlib.sha256()
    for (english, korean), weight in zip(pairs, weights, strict=True):
        digest.update(f"{english}\t{korean}\t{weight}\n".encode())
    return digest.hexdigest()[:16]


def _check_unchanged(config: Config, corpus: Corpus, run: RunDirectory) -> None:
    """Refuse to go on with a run whose data or model has been changed under it."""
    way_out = "Train it in a new folder (run_dir=...), or delete this one."
    old = dataclasses.asdict(run.config())
    new = dataclasses.asdict(config)
    for key in FIXED:
        for name, before, now in _differences(key, _get(old, key), _get(new, key)):
            raise UserError(f"{run.path} was begun with {name}={before}, now it is {now}. {way_out}")
    if run.report().get("fingerprint") != corpus.report["fingerprint"]:
        raise UserError(f"{run.path} was begun with other training pairs or weights. {way_out}")


def _check_same_model(config: Config, base: RunDirectory) -> None:
    """Refuse to start from weights that fit another model; dropout may be another."""
    for name, before, now in _differences("model", vars(base.config().model), vars(config.model)):
        if "dropout" not in name:
            raise UserError(f"train.init_from: {base.path} has {name}={before}, here it is {now}")


def _get(settings: dict[str, Any], key: str) -> Any:
    for part in key.split("."):
        settings = settings[part]
    return settings


def _differences(name: str, before: Any, now: Any) -> Iterable[tuple[str, Any, Any]]:
    if isinstance(before, dict):
        for key in before:
            yield from _differences(f"{name}.{key}", before[key], now[key])
    elif before != now:
        yield name, before, now

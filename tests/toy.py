"""What many tests share: a toy language of 420 sentences, tiny models, and ways to run the scripts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import torch

from translator.config import Config, ModelConfig
from translator.config_file import load_config
from translator.corpus import Pair
from translator.model import Transformer

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))

SUBJECTS = {
    "I": "저는",
    "We": "우리는",
    "They": "그들은",
    "He": "그는",
    "She": "그녀는",
    "Minsu": "민수는",
    "Jimin": "지민은",
}
OBJECTS = {
    "apples": "사과를",
    "milk": "우유를",
    "books": "책을",
    "coffee": "커피를",
    "bread": "빵을",
    "flowers": "꽃을",
}
VERBS = {"like": "좋아하", "buy": "사", "want": "원하", "sell": "팔", "look for": "찾"}
POLITE = {"좋아하": "좋아해요", "사": "사요", "원하": "원해요", "팔": "팔아요", "찾": "찾아요"}


def toy_pairs() -> list[Pair]:
    """Every sentence that the toy grammar can say, with its translation."""
    pairs = []
    for (who, korean_who), (verb, stem), (what, korean_what) in product(
        SUBJECTS.items(), VERBS.items(), OBJECTS.items()
    ):
        third = who in ("He", "She", "Minsu", "Jimin")
        first, _, rest = verb.partition(" ")
        says = f"{first}s {rest}".strip() if third else verb
        pairs.append((f"{who} {says} {what}.", f"{korean_who} {korean_what} {POLITE[stem]}."))
        negation = "doesn't" if third else "don't"
        pairs.append((f"{who} {negation} {verb} {what}.", f"{korean_who} {korean_what} {stem}지 않아요."))
    return pairs


def write_pairs(path: Path, pairs: Iterable[Pair]) -> Path:
    """A file of pairs."""
    path.write_text("".join(f"{english}\t{korean}\n" for english, korean in pairs), encoding="utf-8")
    return path


def toy_yaml(folder: Path) -> Path:
    """A configuration of seconds, and its corpus, in `folder`."""
    write_pairs(folder / "pairs.tsv", toy_pairs())
    write_pairs(folder / "test.tsv", toy_pairs()[3::40])
    settings = {
        "seed": 3,
        "device": "cpu",
        "run_dir": "run",
        "data": {"sources": "pairs.tsv", "test": "test.tsv", "validation_share": 0.03},
        "tokenizer": {"english_size": 340, "korean_size": 340},
        "model": {
            "width": 32,
            "heads": 2,
            "encoder_layers": 1,
            "decoder_layers": 2,
            "feed_forward": 64,
            "dropout": 0.1,
        },
        "train": {
            "batch_tokens": 256,
            "max_steps": 300,
            "learning_rate": 0.01,
            "precision": "float32",
            "log_every_steps": 10,
        },
        "validation": {"every_steps": 150, "decode_size": 8, "samples": ["I like apples."]},
        "checkpoint": {"every_steps": 100, "snapshots": 3},
    }
    path = folder / "toy.yaml"
    path.write_text(json.dumps(settings), encoding="utf-8")  # JSON is YAML
    return path


def small_config(folder: Path, *overrides: str) -> Config:
    """The toy configuration, smaller still: milliseconds a step."""
    small = ["model.width=16", "model.decoder_layers=1", "model.feed_forward=16", "validation.samples=[]"]
    return load_config(toy_yaml(folder), [*small, *overrides])


def tiny_model(
    source_vocabulary: int = 30, target_vocabulary: int = 24, seed: int = 0, **changes: object
) -> Transformer:
    """An untrained model in evaluation mode, its weights large enough for its outputs to differ clearly."""
    config = ModelConfig(width=16, heads=2, encoder_layers=1, decoder_layers=2, feed_forward=24, dropout=0.0)
    torch.manual_seed(seed)
    model = Transformer(replace(config, **changes), source_vocabulary, target_vocabulary)  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


def environment() -> dict[str, str]:
    """For subprocesses: the package is found even where it is not installed, and one thread does for toys."""
    return os.environ | {"PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", "OMP_NUM_THREADS": "1"}


def run_script(
    name: str, *args: str | Path, stdin: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run `scripts/name` as a user would."""
    command = [sys.executable, str(ROOT / "scripts" / name), *map(str, args)]
    return subprocess.run(command, input=stdin, capture_output=True, cwd=cwd, env=environment(), check=False)


@dataclass
class ToyRun:
    """A trained toy run and what training it printed."""

    config: Path
    path: Path
    pairs: list[Pair]
    stdout: str
    stderr: str

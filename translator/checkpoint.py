"""The run directory: all that a run needs, written so that a kill at any moment leaves it usable.

Nothing in it can run code: YAML, JSON, SentencePiece models, safetensors, and a `torch.save` of plain tensors
and numbers that is only ever read with `weights_only=True`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from translator.config import Config, load_config, save_config
from translator.errors import UserError
from translator.model import Transformer
from translator.scoring import AligningHead, AlignmentScore
from translator.tokenizer import Tokenizer


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file, then rename it: `path` is the old file or the new one, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    write(temporary)
    with open(temporary, "r+b") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


class RunDirectory:
    """Where things are in a run's folder, and how they are read and written."""

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        # Relative where it can be, for short messages.
        self.path = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path

    @classmethod
    def open(cls, path: str | Path) -> RunDirectory:
        """A run that exists."""
        run = cls(path)
        if not (run.path / "config.yaml").is_file():
            raise UserError(f"{path}: no run here (no config.yaml); train one with scripts/train.py")
        return run

    def config(self) -> Config:
        """The configuration the run was started with."""
        return load_config(self.path / "config.yaml")

    def save_config(self, config: Config) -> None:
        """Write config.yaml."""
        write_atomically(self.path / "config.yaml", lambda path: save_config(config, path))

    def save_report(self, report: dict[str, object]) -> None:
        """Write corpus.json: the sources, counts, and what cleaning dropped."""
        text = json.dumps(report, ensure_ascii=False, indent=2) + "\n"
        write_atomically(self.path / "corpus.json", lambda path: _write_text(path, text))

    def report(self) -> dict[str, object]:
        """Read corpus.json; empty if it is not there."""
        path = self.path / "corpus.json"
        report: dict[str, object] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return report

    def tokenizer(self, language: str) -> Tokenizer:
        """The tokenizer of "en" or "ko"."""
        return Tokenizer.load(self.path / "tokenizer" / f"{language}.model")

    def save_tokenizer(self, language: str, tokenizer: Tokenizer) -> None:
        """Write a tokenizer's model."""
        path = self.path / "tokenizer" / f"{language}.model"
        write_atomically(path, lambda path: _write_bytes(path, tokenizer.model))

    def known_words(self) -> set[str]:
        """English words of the training data, in lower case."""
        return set((self.path / "tokenizer" / "en.words").read_text(encoding="utf-8").split())

    def save_known_words(self, words: set[str]) -> None:
        """Write tokenizer/en.words, a word a line."""
        text = "\n".join(sorted(words)) + "\n"
        write_atomically(self.path / "tokenizer" / "en.words", lambda path: _write_text(path, text))

    def save_weights(self, name: str, model: nn.Module, header: dict[str, str]) -> None:
        """Write weights as `name`.safetensors, with `header` and the tokenizers' fingerprints in the same file."""
        header = header | self._fingerprints()
        # Tied weights are one tensor under two names; safetensors keeps the first and the model ties it again.
        seen: dict[int, str] = {}
        tensors = {
            k: v.contiguous() for k, v in model.state_dict().items() if seen.setdefault(v.data_ptr(), k) == k
        }
        write_atomically(self.path / f"{name}.safetensors", lambda path: save_file(tensors, path, metadata=header))

    def load_model(self, name: str = "best/model", device: str = "cpu") -> Transformer:
        """The model with the weights of `name`, for translating."""
        path = self.path / f"{name}.safetensors"
        if not path.is_file():
            raise UserError(f"{path}: no weights here yet; go on training with scripts/train.py")
        try:
            with safe_open(path, framework="pt") as file:
                header = file.metadata() or {}
                weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        except SafetensorError as error:
            raise UserError(f"{path}: damaged ({error})") from None
        for key, fingerprint in self._fingerprints().items():
            if header.get(key) != fingerprint:
                raise UserError(f"{path}: was trained with another {key.replace('_', ' ')} than the run's")
        config = self.config().model
        model = Transformer(config, self.tokenizer("en").size, self.tokenizer("ko").size)
        try:
            missing, unexpected = model.load_state_dict(weights, strict=False)
        except RuntimeError:  # another shape
            missing, unexpected = list(weights), []
        if unexpected or set(missing) - ({"output.weight"} if config.tie_embeddings else set()):
            raise UserError(f"{path}: does not fit the model in {self.path / 'config.yaml'}")
        return model.to(device).eval()

    def header(self, name: str = "best/model") -> dict[str, str]:
        """What `save_weights` was told about these weights."""
        with safe_open(self.path / f"{name}.safetensors", framework="pt") as file:
            return dict(file.metadata())

    def snapshots(self) -> list[tuple[int, str]]:
        """(step, name for `load_model`) of the weights kept along the way, first to last."""
        names = sorted(path.stem for path in (self.path / "snapshots").glob("step-*.safetensors"))
        return [(int(name.removeprefix("step-")), f"snapshots/{name}") for name in names]

    def save_alignment(
        self, best: AligningHead, scores: dict[str, AlignmentScore], curves: dict[str, list[float]] | None
    ) -> None:
        """Write alignment.json: how well the best weights align, and which of their heads does best."""
        outcome = {
            "step": self.header()["step"],
            "best": asdict(best),
            "scores": {name: asdict(score) for name, score in scores.items()},
            "curves": curves,
        }
        text = json.dumps(outcome, indent=1) + "\n"
        write_atomically(self.path / "alignment.json", lambda path: _write_text(path, text))

    def alignment(self) -> dict[str, Any] | None:
        """Read alignment.json; None if it is not there or was made of other weights."""
        path = self.path / "alignment.json"
        if not path.is_file():
            return None
        outcome: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return outcome if outcome["step"] == self.header()["step"] else None

    def aligning_head(self) -> AligningHead | None:
        """The head of the best weights to look at first: by gold alignments where they were evaluated, else what
        training found; None if it was stopped before its first validation."""
        if (evaluated := self.alignment()) is not None:
            return AligningHead(**evaluated["best"])
        header = self.header()
        if "aligning_head" not in header:
            return None
        layer, head = header["aligning_head"].split()
        return AligningHead(int(layer), int(head))

    def save_checkpoint(self, state: dict[str, Any]) -> None:
        """Write all that training needs to go on."""
        write_atomically(self.path / "checkpoints" / "last.pt", lambda path: torch.save(state, path))

    def load_checkpoint(self) -> dict[str, Any] | None:
        """What `save_checkpoint` wrote last, or None."""
        path = self.path / "checkpoints" / "last.pt"
        if not path.is_file():
            return None
        try:
            state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{path}: damaged ({reason}); delete it to train from the start") from None
        return state

    def log(self, record: dict[str, object]) -> None:
        """Append a line to metrics.jsonl."""
        self.path.mkdir(parents=True, exist_ok=True)
        with open(self.path / "metrics.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def cut_log(self, step: int) -> None:
        """Take out what was logged after `step`: a resumed run will log it again."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last newline is torn
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        write_atomically(path, lambda path: _write_text(path, "".join(line + "\n" for line in kept)))

    def _fingerprints(self) -> dict[str, str]:
        return {f"{language}_tokenizer": self.tokenizer(language).fingerprint for language in ("en", "ko")}


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _write_bytes(path: Path, data: bytes) -> None:
    path.write_bytes(data)

"""The run directory: all that a run needs, written so that a kill at any moment leaves it usable.

Nothing in it can run code: YAML, JSON, SentencePiece models, safetensors, and a `torch.save` of plain tensors
and numbers that is only ever read with `weights_only=True`.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from translator.atomic import cannot_be_written, write_atomically
from translator.batching import Batch
from translator.config import Config
from translator.config_file import load_config, to_yaml
from translator.errors import UserError, warn
from translator.model import Transformer
from translator.scoring import AligningHead
from translator.tokenizer import Tokenizer


@dataclass
class Progress:
    """Where a run stands; part of every checkpoint."""

    step: int = 0
    """Updates made, those left out for a loss that is no number included."""
    epoch: int = 0
    """Whole passes over the corpus made."""
    batch: int = 0
    """Batches taken of the epoch under way."""
    batches: int = 1
    """Batches in the epoch under way."""
    seconds: float = 0.0
    """Training time in all sittings, validation included."""
    best: float = -math.inf
    """Highest validation chrF++ so far, or highest negative loss, as `validation.metric` says."""
    stale: int = 0
    """Validations since then."""
    snapshots: int = 0
    """Copies of the weights written so far."""
    bad_steps: int = 0
    """Steps in a row, up to now, whose loss was no number."""
    loss_sum: float = 0.0
    """Nats in the steps since the last line of metrics.jsonl."""
    tokens: int = 0
    """Target tokens in them."""
    norm: float = 0.0
    """Length of the newest gradient."""


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
        write_atomically(self.path / "config.yaml", to_yaml(config).encode())

    def save_report(self, report: dict[str, object]) -> None:
        """Write corpus.json: the sources, counts, and what cleaning dropped."""
        text = json.dumps(report, ensure_ascii=False, indent=2) + "\n"
        write_atomically(self.path / "corpus.json", text.encode())

    def report(self) -> dict[str, object]:
        """Read corpus.json; empty if it is not there."""
        path = self.path / "corpus.json"
        try:
            return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
        except (ValueError, TypeError):
            raise UserError(
                f"{path}: is damaged, so nothing says which pairs the run was begun with; train in a new folder "
                "(run_dir=...), or delete this one"
            ) from None

    def tokenizer(self, language: str) -> Tokenizer:
        """The tokenizer of "en" or "ko"."""
        return Tokenizer.load(self.path / "tokenizer" / f"{language}.model")

    def save_tokenizer(self, language: str, tokenizer: Tokenizer) -> None:
        """Write a tokenizer's model."""
        write_atomically(self.path / "tokenizer" / f"{language}.model", tokenizer.model)

    def known_words(self) -> set[str]:
        """English words of the training data, in lower case."""
        return set((self.path / "tokenizer" / "en.words").read_text(encoding="utf-8").split())

    def save_known_words(self, words: set[str]) -> None:
        """Write tokenizer/en.words, a word a line."""
        text = "\n".join(sorted(words)) + "\n"
        write_atomically(self.path / "tokenizer" / "en.words", text.encode())

    def save_weights(self, name: str, model: nn.Module, header: dict[str, str]) -> None:
        """Write weights as `name`.safetensors, with `header` and the tokenizers' fingerprints in the same file."""
        header = header | self._fingerprints()
        # Tied weights are one tensor under two names; safetensors keeps the first, `load_model` gives it both.
        seen: dict[int, str] = {}
        tensors = {
            k: v.contiguous() for k, v in model.state_dict().items() if seen.setdefault(v.data_ptr(), k) == k
        }
        write_atomically(self.path / f"{name}.safetensors", safetensors.torch.save(tensors, metadata=header))

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
                raise UserError(
                    f"{path}: was trained with another {key.replace('_', ' ')} ({header.get(key, 'none')}) than "
                    f"the run's ({fingerprint})"
                )
        config = self.config().model
        model = Transformer(config, self.tokenizer("en").size, self.tokenizer("ko").size)
        if config.tie_embeddings:
            weights["output.weight"] = weights["target_embedding.tokens.weight"]
        try:
            model.load_state_dict(weights)
        except RuntimeError:  # other names, or other shapes
            raise UserError(f"{path}: does not fit the model in {self.path / 'config.yaml'}") from None
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
        self, best: AligningHead, scores: Mapping[str, object], curves: dict[str, list[float]] | None
    ) -> None:
        """Write alignment.json: how well the best weights align, and which of their heads does best."""
        outcome = {
            "step": self.header()["step"],
            "best": asdict(best),
            "scores": {name: vars(score) for name, score in scores.items()},
            "curves": curves,
        }
        text = json.dumps(outcome, indent=1) + "\n"
        write_atomically(self.path / "alignment.json", text.encode())

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

    def save_checkpoint(self, step: int, state: dict[str, Any]) -> None:
        """Write all that training needs to go on after `step`; the checkpoint before it is kept as well.

        The name carries the checksum (as those of torch.hub do), so that one rename publishes both.
        """
        buffer = io.BytesIO()  # torch.save into a file hides why the disk refused
        torch.save(state, buffer)
        digest = hashlib.sha256(buffer.getbuffer()).hexdigest()[:16]
        path = self.path / "checkpoints" / f"step-{step:08d}-{digest}.pt"
        write_atomically(path, buffer.getbuffer())
        before = [other for other in self._checkpoints() if other.name < f"step-{step:08d}"]
        for other in {*path.parent.glob("step-*")} - {path, *before[-1:]}:  # older, torn, of a future that was cut
            other.unlink()

    def load_checkpoint(self) -> dict[str, Any] | None:
        """What `save_checkpoint` wrote last, or before that where the last is damaged; None if it never did."""
        for path in reversed(self._checkpoints()):
            data = path.read_bytes()
            if path.stem.endswith(hashlib.sha256(data).hexdigest()[:16]):
                state: dict[str, Any] = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
                return state
            warn(f"{path} is damaged (its checksum differs)")
        if damaged := self._checkpoints():
            raise UserError(f"{damaged[0].parent}: none is whole; delete this folder to train from the start")
        return None

    def _checkpoints(self) -> list[Path]:
        """The oldest first."""
        return sorted((self.path / "checkpoints").glob("step-*.pt"))

    def log(self, record: dict[str, object], name: str = "metrics") -> None:
        """Append a line to metrics.jsonl (or another name's)."""
        path = self.path / f"{name}.jsonl"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
                file.flush()
                os.fsync(file.fileno())  # before the checkpoint that counts on it
        except OSError as error:
            raise cannot_be_written(path, error) from None

    def cut_log(self, step: int) -> None:
        """Take out what was logged after `step`: a resumed run will log it again."""
        path = self.path / "metrics.jsonl"
        if not path.is_file():
            return
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last newline is torn
        kept = [line for line in lines if json.loads(line)["step"] <= step]
        write_atomically(path, "".join(line + "\n" for line in kept).encode())

    def save_bad_batch(self, step: int, rows: Sequence[int], batch: Batch) -> Path:
        """Write the ids of a batch as the model got them, with their text, to bad-batches/."""
        english, korean = self.tokenizer("en"), self.tokenizer("ko")
        pairs = [
            {"row": row, "english": english.decode(source), "korean": korean.decode(target), "source": source,
             "target": target}
            for row, source, target in zip(rows, batch.source.tolist(), batch.target_out.tolist(), strict=True)
        ]  # fmt: skip
        path = self.path / "bad-batches" / f"step-{step:06d}.json"
        write_atomically(path, json.dumps(pairs, ensure_ascii=False, indent=1).encode())
        return path

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Refuse a second process. The system frees the lock when this one ends, however it ends."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(self.path / "lock", "w", encoding="utf-8")  # noqa: SIM115  closed below
        except OSError as error:
            raise cannot_be_written(self.path, error) from None
        with file:
            try:
                if sys.platform == "win32":
                    import msvcrt

                    msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                else:
                    import fcntl

                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except (BlockingIOError, PermissionError):
                raise UserError(
                    f"{self.path}: another process is preparing or training here; wait for it, or choose another "
                    "run_dir"
                ) from None
            yield

    def _fingerprints(self) -> dict[str, str]:
        return {f"{language}_tokenizer": self.tokenizer(language).fingerprint for language in ("en", "ko")}

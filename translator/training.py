"""The training loop: batches in, a run directory out."""

from __future__ import annotations

import dataclasses
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from translator.batching import Batch, TrainingData, collate, epoch_batches
from translator.checkpoint import RunDirectory
from translator.config import Config
from translator.corpus import Pair
from translator.decoding import decode_all
from translator.errors import UserError
from translator.hardware import compiled, keep_freed_memory
from translator.model import Transformer
from translator.optimization import build_optimizers, rate_factor, set_rate
from translator.scoring import aligning_head, chrf

OnValidation = Callable[[int, Transformer], None]
"""Called with the step and the model, in evaluation mode, at every validation."""


@dataclass
class Progress:
    """Where a run stands; part of every checkpoint."""

    step: int = 0
    """Updates made."""
    epoch: int = 0
    """Whole passes over the corpus made."""
    batch: int = 0
    """Batches taken of the epoch under way."""
    batches: int = 1
    """Batches in the epoch under way."""
    seconds: float = 0.0
    """Training time in all sittings, validation included."""
    best_chrf: float = -1.0
    """Highest validation chrF++ so far."""
    snapshots: int = 0
    """Copies of the weights written so far."""


class Trainer:
    """One run: the model, its optimisers and its place in the corpus."""

    def __init__(self, config: Config, run: RunDirectory, data: TrainingData, validation: Sequence[Pair]) -> None:
        """Set up a new run, or take up the one in `run` where its last checkpoint left it."""
        keep_freed_memory()
        torch.manual_seed(config.seed)
        self.config, self.run = config, run
        self.english, self.korean = run.tokenizer("en"), run.tokenizer("ko")
        self.data = data
        self.validation = validation
        self.validation_examples = [
            (self.english.encode(english), self.korean.encode(korean)) for english, korean in validation
        ]
        self.device = choose_device(config.device)
        self.bfloat16 = use_bfloat16(config.train.precision, self.device)
        self.model = Transformer(config.model, self.english.size, self.korean.size).to(self.device)
        self.compiled = compiled(self.model, config.train.compile, self.device)
        self.optimizers = build_optimizers(self.model, config.train)
        self.progress = Progress()
        self.interrupted = False
        if (state := run.load_checkpoint()) is not None:
            self._restore(state)
        run.cut_log(self.progress.step)

    @property
    def budget_used(self) -> float:
        """Share of the budget that is spent, 0 to 1: the largest of those of steps, epochs and minutes."""
        now, budget = self.progress, self.config.train
        return max(
            now.step / budget.max_steps,
            (now.epoch + now.batch / now.batches) / budget.max_epochs,
            now.seconds / 60 / budget.max_minutes,
        )

    def train(self, on_validation: Sequence[OnValidation] = ()) -> None:
        """Train until the budget is spent. After Ctrl-C or a kill, a new Trainer goes on from the checkpoint."""
        now, every = self.progress, self.config
        self.run.save_config(self.config)
        began = time.monotonic() - now.seconds
        report = _Report(self.run, self.budget_used)
        self.model.train()
        with _interrupts_noted(self):
            for batch in self._batches():
                if self._snapshot_is_due():
                    self._save_snapshot()
                set_rate(self.optimizers, rate_factor(self.budget_used, self.config.train))
                loss, norm = self._update(batch)
                now.step += 1
                now.seconds = time.monotonic() - began
                report.add(loss, norm, batch.tokens)

                last, improved = self.budget_used >= 1, False
                if now.step % every.train.log_every_steps == 0 or last:
                    report.write(now, self.budget_used, self.optimizers[0].param_groups[0]["lr"])
                if now.step % every.validation.every_steps == 0 or last:
                    improved = self._validate(report, on_validation)
                    now.seconds = time.monotonic() - began
                    last = self.budget_used >= 1
                if last and every.checkpoint.snapshots:
                    self._save_snapshot()  # before the checkpoint, which says that all is done
                # After an improvement too, so that the checkpoint always knows the score of best/.
                if now.step % every.checkpoint.every_steps == 0 or improved or last or self.interrupted:
                    report.check(now)
                    self._save_checkpoint()
                if last or self.interrupted:
                    break
        if now.best_chrf < 0:  # interrupted before the first validation: leave a run that can translate
            self.run.save_weights("best/model", self.model, {"step": str(now.step)})
        report.close()

    def _batches(self) -> Iterator[Batch]:
        """Batches from the run's place in the corpus on, without end; each is counted as it is handed out."""
        now = self.progress
        while True:
            budget, seed = self.config.train.batch_tokens, self.config.seed
            order = self.data.order(budget, seed, now.epoch)
            now.batches = len(order)
            for rows in order[now.batch :]:
                now.batch += 1
                yield self.data.batch(rows, now.epoch).to(self.device)
            now.epoch, now.batch = now.epoch + 1, 0

    def _update(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """One step of gradient descent; returns the loss (nats a token) and the gradient's norm, not yet read."""
        loss = self._loss(self.compiled, batch, self.config.train.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.train.clip_norm)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach(), norm

    def _loss(self, model: nn.Module, batch: Batch, smoothing: float) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            return model(batch.source, batch.target_in, batch.target_out, smoothing)  # type: ignore[no-any-return]

    def _validate(self, report: _Report, on_validation: Sequence[OnValidation]) -> bool:
        """Measure loss and chrF++ of real translations; keep the weights, and say so, if they are the best yet."""
        report.check(self.progress)
        now = self.progress
        self.model.eval()
        with torch.inference_mode():
            total = tokens = 0.0
            lengths = [(len(source), len(target)) for source, target in self.validation_examples]
            for rows in epoch_batches(lengths, self.config.train.batch_tokens, seed=0, epoch=0):
                batch = collate([self.validation_examples[i] for i in rows]).to(self.device)
                total += self._loss(self.model, batch, smoothing=0.0).item() * batch.tokens
                tokens += batch.tokens
        size = self.config.validation.decode_size
        translations = dict(decode_all(self.model, [source for source, _ in self.validation_examples[:size]]))
        hypotheses = [self.korean.decode(translations[i][0].ids) for i in range(len(translations))]
        score = chrf(hypotheses, [korean for _, korean in self.validation[:size]])
        report.validation(now, total / tokens, score)
        improved = score >= now.best_chrf
        if improved:
            now.best_chrf = score
            layer, head = aligning_head(self.model, self.validation_examples[:size])
            header = {"step": str(now.step), "chrF++": f"{score:.2f}", "aligning_head": f"{layer} {head}"}
            self.run.save_weights("best/model", self.model, header)
        for function in on_validation:
            function(now.step, self.model)
        self.model.train()
        report.restart_clock()
        return improved

    def _snapshot_is_due(self) -> bool:
        """Snapshots stand closer together early on, where attention changes fastest; the last is the end."""
        wanted = self.config.checkpoint.snapshots - 1
        taken = self.progress.snapshots
        return taken < wanted and self.budget_used >= (taken / wanted) ** 2

    def _save_snapshot(self) -> None:
        step = f"{self.progress.step:06d}"
        self.run.save_weights(f"snapshots/step-{step}", self.model, {"step": step})
        self.progress.snapshots += 1

    def _save_checkpoint(self) -> None:
        self.run.save_checkpoint(
            {
                "progress": dataclasses.asdict(self.progress),
                "model": self.model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                "random": torch.get_rng_state(),
            }
        )

    def _restore(self, state: dict[str, Any]) -> None:
        self.progress = Progress(**state["progress"])
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            settings = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
            optimizer.load_state_dict(saved)
            for group, setting in zip(optimizer.param_groups, settings, strict=True):
                group.update(setting)  # the configuration's, which may have changed
        torch.set_rng_state(state["random"])


class _Report:
    """Tells how training goes: a bar at a terminal, lines elsewhere, metrics.jsonl always."""

    def __init__(self, run: RunDirectory, budget_used: float) -> None:
        self.run = run
        self.bar = tqdm(
            total=1.0,
            initial=budget_used,
            disable=not sys.stderr.isatty(),
            bar_format="{percentage:3.0f}% |{bar}| {elapsed} < {remaining}{desc}",
        )
        self.loss, self.norm, self.tokens = torch.zeros(()), torch.zeros(()), 0
        self.clock, self.chrf = time.monotonic(), ""

    def add(self, loss: Tensor, norm: Tensor, tokens: int) -> None:
        """Count a step."""
        self.loss, self.norm = self.loss.to(loss.device) + loss * tokens, norm
        self.tokens += tokens

    def check(self, now: Progress) -> None:
        """Stop before weights that are no longer numbers are kept."""
        if not math.isfinite(self.loss.item()):
            raise UserError(
                f"the loss is no longer a number after step {now.step}; a lower train.learning_rate or "
                f"train.muon_learning_rate in a new run_dir may help (best weights so far: {self.run.path}/best)"
            )

    def write(self, now: Progress, budget_used: float, rate: float) -> None:
        """Say how the steps since the last call went."""
        self.check(now)
        loss = self.loss.item() / self.tokens
        speed = self.tokens / (time.monotonic() - self.clock)
        self.run.log(
            {
                "step": now.step,
                "epoch": round(now.epoch + now.batch / now.batches, 3),
                "loss": round(loss, 5),
                "learning_rate": rate,
                "gradient_norm": round(self.norm.item(), 4),
                "tokens_per_second": round(speed),
                "seconds": round(now.seconds, 1),
            }
        )
        text = f"step {now.step:,}  loss {loss:.3f}  {speed:,.0f} tokens/s{self.chrf}"
        self.bar.set_description_str(f"  {text}", refresh=False)
        self.bar.update(min(budget_used, 1.0) - self.bar.n)
        if self.bar.disable:
            left = max(0.0, now.seconds / budget_used - now.seconds)
            print(f"{text}  {budget_used:.0%}, {left / 60:.1f} minutes left", file=sys.stderr)
        self.loss, self.tokens = torch.zeros(()), 0
        self.restart_clock()

    def validation(self, now: Progress, loss: float, score: float) -> None:
        """Say how good the model is."""
        self.run.log({"step": now.step, "validation_loss": round(loss, 5), "validation_chrf": round(score, 3)})
        self.chrf = f"  chrF++ {score:.1f}"
        self.bar.write(f"step {now.step:,}: validation loss {loss:.3f}, chrF++ {score:.1f}", file=sys.stderr)

    def restart_clock(self) -> None:
        """Leave what happened since out of the tokens a second."""
        self.clock = time.monotonic()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self.bar.close()


@contextmanager
def _interrupts_noted(trainer: Trainer) -> Iterator[None]:
    """Inside, the first Ctrl-C or SIGTERM sets `trainer.interrupted`; a second one acts at once."""

    def note(number: int, frame: FrameType | None) -> None:
        trainer.interrupted = True
        restore()
        print("\nStopping after this step; again to stop at once.", file=sys.stderr)

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        restore()


def choose_device(name: str) -> torch.device:
    """The device that `device` in the configuration stands for."""
    found = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if found[device])
    if not found[name]:
        raise UserError(f"device={name}: torch finds no such device here; use device=auto or device=cpu")
    return torch.device(name)


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16; "auto" does where the hardware multiplies it faster than float32."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    supported = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device.type == "cpu" and bool(supported)

"""The training loop: batches in, a run directory out."""

from __future__ import annotations

import copy
import dataclasses
import math
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from translator.batching import Batch, TrainingData, ahead, collate, epoch_batches
from translator.checkpoint import Progress, RunDirectory
from translator.config import Config
from translator.corpus import Pair
from translator.decoding import decode_all
from translator.distributed import ALONE, Ranks, choose_device, use_bfloat16
from translator.errors import UserError
from translator.hardware import compile_layers, expect_many_shapes, keep_freed_memory, uncompiled
from translator.loss import r_drop_loss
from translator.model import Transformer
from translator.optimization import apply_gradients, build_optimizers, move_average, rate_factor, set_rate
from translator.preparation import changed_settings
from translator.reporting import Report
from translator.scoring import aligning_head, chrf

OnValidation = Callable[[int, Transformer], None]
"""Called on rank 0 with the step and the model, in evaluation mode, at every validation."""


@dataclass
class _Step:
    """A step whose outcome is still on the device: to read it is to wait for the device."""

    number: int
    epoch: int
    rows: Sequence[int]
    tokens: int
    loss: Tensor  # nats a token
    norm: Tensor


class Trainer:
    """One run: the model, its optimisers and its place in the corpus. All ranks go through the same steps."""

    def __init__(
        self,
        config: Config,
        run: RunDirectory,
        data: TrainingData,
        validation: Sequence[Pair],
        ranks: Ranks = ALONE,
    ) -> None:
        """Set up a new run, or take up the one in `run` where its last checkpoint left it."""
        keep_freed_memory()
        expect_many_shapes(config.train.batch_tokens)
        torch.manual_seed(config.seed)
        self.config, self.run, self.data, self.validation, self.ranks = config, run, data, validation, ranks
        self.english, self.korean = run.tokenizer("en"), run.tokenizer("ko")
        self.validation_examples = [
            (self.english.encode(english), self.korean.encode(korean)) for english, korean in validation
        ]
        self.device = choose_device(config.device, ranks.local)
        self.bfloat16 = use_bfloat16(config.train.precision, self.device)
        self.model = Transformer(config.model, self.english.size, self.korean.size).to(self.device)
        self.optimizers = build_optimizers(self.model, config.train)
        self.progress = Progress()
        state = run.load_checkpoint()
        if state is None and config.train.init_from:
            self.model.load_state_dict(RunDirectory.open(config.train.init_from).load_model().state_dict())
        # What is validated, kept as best/ and shown.
        self.average = copy.deepcopy(self.model).requires_grad_(False) if config.train.average else self.model
        self._restore(state)
        compile_layers(self.model, config.train.compile, self.device)
        self.parallel = ranks.wrap(self.model)
        self.report = Report(run, self.progress, speaks=ranks.main)
        self.unread: list[_Step] = []
        self.interrupted = False

    @property
    def budget_used(self) -> float:
        """Share of the budget that is spent, 0 to 1: the largest of those of steps, epochs and minutes."""
        now, budget = self.progress, self.config.train
        return max(
            now.step / budget.max_steps,
            (now.epoch + now.batch / now.batches) / budget.max_epochs,
            now.seconds / 60 / budget.max_minutes,
        )

    @property
    def finished(self) -> bool:
        """Whether the budget is spent, or the patience."""
        return self.budget_used >= 1 or 0 < self.config.train.patience <= self.progress.stale

    def train(self, on_validation: Sequence[OnValidation] = ()) -> None:
        """Train until the end. After Ctrl-C or a kill, a new Trainer goes on from the checkpoint."""
        now, every = self.progress, self.config
        began = time.monotonic() - now.seconds
        self._begin_sitting()
        self.model.train()
        with _interrupts_noted(self), self.report.open(self.budget_used):
            for rows, parts in self._batches():
                if self._snapshot_is_due():
                    self._save_snapshot()
                set_rate(self.optimizers, rate_factor(self.budget_used, every.train))
                self._update(rows, parts)
                now.step += 1
                stop = self._compare_clocks(began)

                last, improved = self.finished, False
                if last or now.step % every.train.log_every_steps == 0:
                    self._read_losses()
                    self.report.training(self.budget_used, self.optimizers[0].param_groups[0]["lr"])
                if last or now.step % every.validation.every_steps == 0:
                    improved = self._validate(on_validation)
                    stop = self._compare_clocks(began)
                    last = self.finished
                if last and every.checkpoint.snapshots:
                    self._save_snapshot()  # before the checkpoint, which says that all is done
                # After an improvement too, so that the checkpoint always knows the score of best/.
                if last or improved or stop or now.step % every.checkpoint.every_steps == 0:
                    self._save_checkpoint()
                if last or stop:
                    break
        if now.best == -math.inf:  # interrupted before the first validation: leave a run that can translate
            self._save_weights("best/model")

    def _begin_sitting(self) -> None:
        """Bring the run's files to where its checkpoint is, and note which settings are new since then."""
        if self.ranks.main:
            if changed := changed_settings(self.run.config(), self.config):
                self.run.log({"step": self.progress.step, "changed": changed}, "changes")
                for name, (before, after) in changed.items():
                    self.report.say(f"From step {self.progress.step:,} on, {name}={after} instead of {before}.")
            self.run.save_config(self.config)
            self.run.cut_log(self.progress.step)

    def _batches(self) -> Iterator[tuple[Sequence[int], list[Batch]]]:
        """Batches from the run's place in the corpus on, without end: their rows and this rank's parts.

        They are counted as they are handed out. A GPU computes while the next ones are made. When the time of
        sampled cuts is over, those made already are made again, of the best cuts.
        """
        made_ahead = 4 if self.device.type == "cuda" else 0
        now = self.progress
        while True:
            for place, rows, parts in ahead(self._read(now.epoch, now.batch), made_ahead):
                if self.data.cut_anew and self.budget_used >= self.config.tokenizer.sampling_until:
                    self._read_losses()  # as long as a bad batch can be written out as it was
                    self.data = dataclasses.replace(self.data, cut_anew=None)
                    break
                now.epoch, now.batch, now.batches = place
                yield rows, parts

    def _read(self, epoch: int, batch: int) -> Iterator[tuple[tuple[int, int, int], Sequence[int], list[Batch]]]:
        """The same with their place: the epoch, batches taken of it with this one, batches in it."""
        while True:
            order = self.data.order(self.config.train.batch_tokens, self.config.seed, epoch)
            for number, rows in enumerate(order[batch:], start=batch + 1):
                yield (epoch, number, len(order)), rows, self._parts(rows, epoch)
            epoch, batch = epoch + 1, 0

    def _parts(self, rows: Sequence[int], epoch: int) -> list[Batch]:
        """This rank's share of a batch, in `train.accumulate` parts; an empty one is a row that counts nothing."""
        count = self.ranks.size * self.config.train.accumulate
        parts = []
        for i in range(self.ranks.rank, count, self.ranks.size):
            part = self.data.batch(rows[i::count] or rows[:1], epoch)
            if i >= len(rows):
                part.tokens = 0
            parts.append(part.to(self.device))
        return parts

    def _update(self, rows: Sequence[int], parts: Sequence[Batch]) -> None:
        """One step of gradient descent on a batch: the same however many ranks and parts it is computed in."""
        tokens = int(self.ranks.sum(torch.tensor(sum(part.tokens for part in parts))))
        loss = torch.zeros((), device=self.device)
        for i, part in enumerate(parts, start=1):
            with self.ranks.accumulating(self.parallel) if i < len(parts) else nullcontext():
                share = self._loss(self.parallel, part, self.config.train.label_smoothing) * (part.tokens / tokens)
                (share * self.ranks.size).backward()  # type: ignore[no-untyped-call]  # DDP takes the mean
            loss += share.detach()
        loss = self.ranks.sum(loss)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.train.clip_norm)
        apply_gradients(self.optimizers, (loss + norm).isfinite())
        if self.average is not self.model:
            move_average(self.average, self.model, self.config.train.average, self.progress.step)
        self.unread.append(_Step(self.progress.step + 1, self.progress.epoch, rows, tokens, loss, norm))
        self.report.count(tokens)

    def _loss(self, model: nn.Module, batch: Batch, smoothing: float) -> Tensor:
        """Mean cross-entropy (nats a token); while training, with what `train.r_drop` adds to it."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            if model.training and self.config.train.r_drop:
                logits = model(batch.source.repeat(2, 1), batch.target_in.repeat(2, 1))
                return r_drop_loss(logits, batch.target_out, smoothing, self.config.train.r_drop)
            return model(batch.source, batch.target_in, batch.target_out, smoothing)  # type: ignore[no-any-return]

    def _read_losses(self) -> None:
        """Take in the steps since the last call. A batch whose loss is no number is written out for inspection."""
        now, most = self.progress, self.config.train.max_bad_steps
        for step in self.unread:
            loss, norm = step.loss.item(), step.norm.item()
            if math.isfinite(loss + norm):
                now.loss_sum, now.tokens = now.loss_sum + loss * step.tokens, now.tokens + step.tokens
                now.norm, now.bad_steps = norm, 0
                continue
            now.bad_steps += 1
            if self.ranks.main:
                path = self.run.save_bad_batch(step.number, step.rows, self.data.batch(step.rows, step.epoch))
                self.report.say(f"step {step.number:,} left out: its loss or gradient is no number; see {path}")
            if now.bad_steps >= most:
                raise UserError(
                    f"the loss was no number for {most} steps in a row, up to step {step.number}; their batches "
                    f"are in {self.run.path}/bad-batches; a lower train.learning_rate or train.muon_learning_rate "
                    "in a new run_dir may help"
                )
        self.unread = []

    def _validate(self, on_validation: Sequence[OnValidation]) -> bool:
        """Measure how good the model is; keep the weights, and say so, if they are the best yet."""
        self._read_losses()
        now, model = self.progress, self.average
        with self.report.paused(), uncompiled():
            model.eval()
            loss, score = self._judge(model)
            self.report.validation(loss, score)
            value = score if self.config.validation.metric == "chrf" else -loss
            improved = value >= now.best
            now.stale = 0 if improved else now.stale + 1
            if improved:
                now.best = value
            if self.ranks.main:
                if improved:
                    shown = self.validation_examples[: self.config.validation.decode_size]
                    layer, head = aligning_head(model, shown)
                    scores = {"validation_loss": f"{loss:.4f}", "chrF++": f"{score:.2f}"}
                    self._save_weights("best/model", scores | {"aligning_head": f"{layer} {head}"})
                for function in on_validation:
                    function(now.step, model)
            model.train()
        return improved

    @torch.inference_mode()
    def _judge(self, model: Transformer) -> tuple[float, float]:
        """The validation pairs' loss (nats a token), and chrF++ of real translations; each rank does its share."""
        ranks, examples = self.ranks, self.validation_examples
        lengths = [(len(source), len(target)) for source, target in examples]
        total = torch.zeros(2, dtype=torch.float64)  # nats, tokens
        order = epoch_batches(lengths, self.config.train.batch_tokens, seed=0, epoch=0)
        for rows in order[ranks.rank :: ranks.size]:
            batch = collate([examples[i] for i in rows]).to(self.device)
            loss = self._loss(model, batch, smoothing=0.0).item()
            total += torch.tensor([loss * batch.tokens, batch.tokens])
        nats, tokens = ranks.sum(total).tolist()

        size = min(self.config.validation.decode_size, len(examples))
        mine = range(ranks.rank, size, ranks.size)
        found = decode_all(model, [examples[i][0] for i in mine])
        parts = ranks.gather({mine[k]: self.korean.decode(best[0].ids) for k, best in found})
        hypotheses = {i: text for part in parts for i, text in part.items()}
        score = chrf([hypotheses[i] for i in range(size)], [korean for _, korean in self.validation[:size]])
        return nats / tokens, score

    def _compare_clocks(self, began: float) -> bool:
        """Let all ranks have one time; returns whether they stop now, for one of them was told to."""
        self.progress.seconds, stop = self.ranks.agree(time.monotonic() - began, self.interrupted)
        return bool(stop)

    def _snapshot_is_due(self) -> bool:
        """Snapshots stand closer together early on, where attention changes fastest; the last is the end."""
        wanted = self.config.checkpoint.snapshots - 1
        taken = self.progress.snapshots
        return taken < wanted and self.budget_used >= (taken / wanted) ** 2

    def _save_snapshot(self) -> None:
        self._save_weights(f"snapshots/step-{self.progress.step:06d}")
        self.progress.snapshots += 1

    def _save_weights(self, name: str, header: dict[str, str] | None = None) -> None:
        if self.ranks.main:
            self.run.save_weights(name, self.average, {"step": str(self.progress.step)} | (header or {}))

    def _save_checkpoint(self) -> None:
        self._read_losses()
        random = self.ranks.gather(self._random_state())  # dropout draws other numbers on every rank
        if self.ranks.main:
            self.run.save_checkpoint(
                self.progress.step,
                {
                    "progress": dataclasses.asdict(self.progress),
                    "model": self.model.state_dict(),
                    "average": self.average.state_dict(),
                    "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
                    "random": random,
                },
            )

    def _restore(self, state: dict[str, Any] | None) -> None:
        """Go on from a checkpoint's state; from another number of ranks, with other random numbers for dropout."""
        if state is not None:
            self.progress = Progress(**state["progress"])
            self.average.load_state_dict(state["average"])
            self.model.load_state_dict(state["model"])  # last: without averaging the two are one
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                settings = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
                try:
                    optimizer.load_state_dict(saved)
                except ValueError:  # other groups of parameters
                    raise UserError(
                        f"{self.run.path}: an older version of this program wrote its checkpoints; train in a new "
                        "folder (run_dir=...), or delete this one. Its best weights still translate"
                    ) from None
                for group, setting in zip(optimizer.param_groups, settings, strict=True):
                    group.update(setting)  # the configuration's, which may have changed
        if state is not None and len(state["random"]) == self.ranks.size:
            cpu, *cuda = state["random"][self.ranks.rank]
            torch.set_rng_state(cpu)
            if cuda and self.device.type == "cuda":
                torch.cuda.set_rng_state(cuda[0], self.device)
        else:
            torch.manual_seed(abs(hash((self.config.seed, self.progress.step, self.ranks.rank))))

    def _random_state(self) -> list[Tensor]:
        cuda = [torch.cuda.get_rng_state(self.device)] if self.device.type == "cuda" else []
        return [torch.get_rng_state(), *cuda]


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

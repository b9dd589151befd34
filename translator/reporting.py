"""Telling how training goes: a bar at a terminal, lines elsewhere, metrics.jsonl, and TensorBoard if installed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tqdm import tqdm

from translator.checkpoint import Progress, RunDirectory

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Report:
    """Tells of one run. Of several ranks, only the main one `speaks`."""

    board: SummaryWriter | None = None

    def __init__(self, run: RunDirectory, progress: Progress, speaks: bool = True) -> None:
        self.run, self.progress, self.speaks = run, progress, speaks
        self.bar = tqdm(disable=True)
        self.score = ""
        self._tokens, self._seconds, self._since = 0, 0.0, time.monotonic()

    @contextmanager
    def open(self, budget_used: float) -> Iterator[None]:
        """Inside, there are a bar and a TensorBoard, where they are wanted."""
        if self.speaks:
            self.bar = tqdm(
                total=1.0,
                initial=budget_used,
                disable=not sys.stderr.isatty(),
                bar_format="{percentage:3.0f}% |{bar}| {elapsed} < {remaining}{desc}",
            )
            self.board = _board(self.run, self.progress.step)
        self._since = time.monotonic()
        try:
            yield
        finally:
            self.bar.close()
            if self.board is not None:
                self.board.close()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave what happens inside out of the tokens a second."""
        self._seconds += time.monotonic() - self._since
        yield
        self._since = time.monotonic()

    def count(self, tokens: int) -> None:
        """Note that a step over so many target tokens was made."""
        self._tokens += tokens

    def say(self, text: str) -> None:
        """A line on standard error, above the bar."""
        if self.speaks:
            tqdm.write(text, file=sys.stderr)

    def training(self, budget_used: float, rate: float) -> None:
        """Tell of the steps since the last call."""
        now = self.progress
        speed = self._tokens / (self._seconds + time.monotonic() - self._since)
        loss = now.loss_sum / now.tokens if now.tokens else None  # none where every step was left out
        self._log(
            {
                "step": now.step,
                "epoch": round(now.epoch + now.batch / now.batches, 3),
                "loss": loss and round(loss, 5),
                "learning_rate": rate,
                "gradient_norm": round(now.norm, 4),
                "tokens_per_second": round(speed),
                "seconds": round(now.seconds, 1),
            }
        )
        text = f"step {now.step:,}  loss {loss or 0:.3f}  {speed:,.0f} tokens/s"
        if not self.bar.disable:
            self.bar.set_description_str(f"  {text}{self.score}", refresh=False)
            self.bar.update(min(budget_used, 1.0) - self.bar.n)
        else:
            left = max(0.0, now.seconds / budget_used - now.seconds) / 60
            text += f"  rate {rate:.2e}  gradient {now.norm:.2f}"
            self.say(f"{text}  {budget_used:.0%}, {left:.1f} minutes left")
        now.loss_sum, now.tokens = 0.0, 0
        self._tokens, self._seconds, self._since = 0, 0.0, time.monotonic()

    def validation(self, loss: float, chrf: float) -> None:
        """Tell how good the model is."""
        step = self.progress.step
        self._log({"step": step, "validation_loss": round(loss, 5), "validation_chrf": round(chrf, 3)})
        self.score = f"  chrF++ {chrf:.1f}"
        self.say(f"step {step:,}: validation loss {loss:.3f}, chrF++ {chrf:.1f}")

    def _log(self, record: dict[str, float | None]) -> None:
        if not self.speaks:
            return
        self.run.log(dict(record))
        if self.board is not None:
            for name, value in record.items():
                if name not in ("step", "seconds") and value is not None:
                    self.board.add_scalar(name, value, self.progress.step)


def _board(run: RunDirectory, step: int) -> SummaryWriter | None:
    """A TensorBoard that forgets what it was told after `step`: a resumed run will tell it again."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(run.path / "tensorboard", purge_step=step + 1)

"""What a user and a log are told."""

from __future__ import annotations

import builtins
import json
import time
from pathlib import Path

import pytest
from tqdm import tqdm

from translator.checkpoint import Progress, RunDirectory
from translator.reporting import Report


def told(run: RunDirectory) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_a_plain_line_and_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    now = Progress(step=20, epoch=1, batch=1, batches=4, seconds=60.0, loss_sum=300.0, tokens=100, norm=0.5)
    report = Report(RunDirectory(tmp_path), now)
    with report.open(budget_used=0.2):
        report.count(100)
        time.sleep(0.002)
        report.training(0.25, rate=0.001)
        report.validation(2.5, 34.5)
    line, validation = capsys.readouterr().err.splitlines()
    for part in ("step 20 ", "loss 3.000", " tokens/s", "rate 1.00e-03", "gradient 0.50", "25%, 3.0 minutes left"):
        assert part in line
    assert validation == "step 20: validation loss 2.500, chrF++ 34.5"
    training, validated = told(report.run)
    assert training.pop("tokens_per_second") < 100 / 0.002
    assert training == {
        "step": 20, "epoch": 1.25, "loss": 3.0, "learning_rate": 0.001, "gradient_norm": 0.5, "seconds": 60.0,
    }  # fmt: skip
    assert validated == {"step": 20, "validation_loss": 2.5, "validation_chrf": 34.5}
    assert (now.loss_sum, now.tokens) == (0.0, 0)  # a new interval


def test_pauses_do_not_count_as_training_time(tmp_path: Path) -> None:
    report = Report(RunDirectory(tmp_path), Progress(step=1, loss_sum=1.0, tokens=1))
    with report.open(0.0):
        report.count(1000)
        with report.paused():
            time.sleep(0.5)
        report.training(0.5, 0.1)
    assert told(report.run)[0]["tokens_per_second"] > 1000 / 0.5


def test_a_rank_that_does_not_speak(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(RunDirectory(tmp_path), Progress(step=1, loss_sum=1.0, tokens=1), speaks=False)
    with report.open(0.0):
        report.count(1)
        report.training(0.5, 0.1)
        report.validation(1.0, 2.0)
        report.say("x")
    assert capsys.readouterr().err == "" and list(tmp_path.iterdir()) == []
    assert report.progress.tokens == 0  # all ranks begin the new interval alike


def test_a_bar_at_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    report = Report(RunDirectory(tmp_path), Progress(step=5, loss_sum=4.0, tokens=2))
    with report.open(0.25):
        assert isinstance(report.bar, tqdm) and not report.bar.disable
        report.validation(1.0, 50.0)
        report.count(2)
        report.training(0.5, 0.1)
        assert report.bar.n == 0.5
    error = capsys.readouterr().err
    assert "50%" in error and "step 5  loss 2.000" in error and "chrF++ 50.0" in error
    assert "minutes left" not in error


def test_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def lacking(name: str, *args: object, **kwargs: object) -> object:
        if "tensorboard" in name:
            raise ImportError(name)
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", lacking)
    report = Report(RunDirectory(tmp_path), Progress(step=1, loss_sum=1.0, tokens=1))
    with report.open(0.0):
        assert report.board is None
        report.count(1)
        report.training(0.5, 0.1)
    assert len(told(report.run)) == 1 and not (tmp_path / "tensorboard").exists()

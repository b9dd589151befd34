"""Training learns, ends when it should, and goes on after a kill as if nothing had happened."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.toy import ROOT, environment, run_script, small_config, toy_yaml
from translator import training
from translator.checkpoint import RunDirectory
from translator.config import Config
from translator.errors import UserError
from translator.model import Transformer
from translator.preparation import prepare
from translator.training import Trainer, choose_device, use_bfloat16


def begin(config: Config) -> Trainer:
    """What scripts/train.py does before it trains."""
    run = RunDirectory(config.run_dir)
    corpus, data = prepare(config, run)
    return Trainer(config, run, data, corpus.validation)


def metrics(run: RunDirectory) -> list[dict[str, float]]:
    lines = (run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def assert_equal(a: dict[str, Tensor], b: dict[str, Tensor]) -> None:
    assert a.keys() == b.keys()
    for key, weight in a.items():
        assert torch.equal(weight, b[key]), key


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_the_loss_falls(optimizer: str, tmp_path: Path) -> None:
    trainer = begin(small_config(tmp_path, "train.max_steps=60", f"train.optimizer={optimizer}"))
    assert trainer.budget_used == 0
    trainer.train()
    assert trainer.budget_used >= 1 and trainer.progress.step == 60
    losses = [record["loss"] for record in metrics(trainer.run) if "loss" in record]
    assert len(losses) == 6
    assert losses[0] < math.log(trainer.korean.size) + 1.5
    assert losses[-1] < 0.8 * losses[0]
    records = [record for record in metrics(trainer.run) if "validation_loss" in record]
    assert [record["step"] for record in records] == [60]
    assert trainer.run.load_model() is not None
    assert trainer.run.header()["step"] == "60"


RESUMABLE = [
    "train.max_steps=30", "model.dropout=0.3", "validation.every_steps=7", "checkpoint.every_steps=9",
    "train.log_every_steps=4", "checkpoint.snapshots=4",
]  # fmt: skip


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_an_interrupted_run_ends_as_one_never_interrupted(optimizer: str, tmp_path: Path) -> None:
    whole_dir, parts_dir = tmp_path / "whole", tmp_path / "parts"
    settings = [*RESUMABLE, f"train.optimizer={optimizer}"]
    whole = begin(small_config(tmp_path, *settings, f"run_dir={whole_dir}"))
    whole.train()

    config = small_config(tmp_path, *settings, f"run_dir={parts_dir}")
    sittings = 0
    while (trainer := begin(config)).budget_used < 1:
        sittings += 1

        def interrupt(step: int, model: Transformer, trainer: Trainer = trainer) -> None:
            assert not model.training
            trainer.interrupted = step < 28

        trainer.train([interrupt])
        torch.rand(sittings)  # what else happens in the process is of no account
    assert sittings == 4

    assert_equal(trainer.model.state_dict(), whole.model.state_dict())
    assert_equal(trainer.run.load_model().state_dict(), whole.run.load_model().state_dict())
    assert trainer.progress.best_chrf == whole.progress.best_chrf
    assert names(parts_dir / "snapshots") == names(whole_dir / "snapshots")
    timeless = [
        [
            {k: v for k, v in record.items() if k in ("step", "epoch", "learning_rate", "validation_loss")}
            for record in m
        ]
        for m in (metrics(trainer.run), metrics(whole.run))
    ]
    assert timeless[0] == timeless[1]


def test_settings_changed_between_sittings_hold_from_then_on(tmp_path: Path) -> None:
    first = begin(small_config(tmp_path, "train.max_steps=20", "train.weight_decay=0.3"))
    first.train()
    config = small_config(tmp_path, "train.max_steps=30", "train.weight_decay=0.1", "train.learning_rate=0.004")
    second = begin(config)
    assert [group["weight_decay"] for group in second.optimizers[0].param_groups] == [0.1, 0.0]
    assert {group["peak"] for group in second.optimizers[0].param_groups} == {0.004}
    second.train()
    assert second.progress.step == 30
    assert second.run.config() == config


def test_interrupted_before_the_first_validation_it_can_translate(tmp_path: Path) -> None:
    trainer = begin(small_config(tmp_path))
    update = trainer._update

    def interrupting(batch: object) -> tuple[Tensor, Tensor]:
        os.kill(os.getpid(), signal.SIGTERM)
        return update(batch)  # type: ignore[arg-type]

    trainer._update = interrupting  # type: ignore[method-assign]
    before = signal.getsignal(signal.SIGTERM)
    trainer.train()
    assert trainer.interrupted and trainer.progress.step == 1
    assert signal.getsignal(signal.SIGTERM) is before
    assert_equal(trainer.run.load_model().state_dict(), trainer.model.state_dict())
    assert not (trainer.run.path / "snapshots").exists() or len(names(trainer.run.path / "snapshots")) == 1


def test_a_run_without_a_checkpoint_starts_its_log_anew(tmp_path: Path) -> None:
    config = small_config(tmp_path)
    begin(config)
    log = Path(config.run_dir) / "metrics.jsonl"
    log.write_text('{"step": 10, "loss": 1.0}\n{"step": 2', encoding="utf-8")
    begin(config)
    assert log.read_text(encoding="utf-8") == ""


def test_the_best_weights_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([50.0, 80.0, 60.0, 80.0, 70.0])
    monkeypatch.setattr(training, "chrf", lambda *_: next(scores))
    trainer = begin(small_config(tmp_path, "train.max_steps=10", "validation.every_steps=2"))
    at: dict[int, dict[str, Tensor]] = {}
    trainer.train([lambda step, m: at.update({step: {k: v.clone() for k, v in m.state_dict().items()}})])
    assert list(at) == [2, 4, 6, 8, 10]
    assert trainer.progress.best_chrf == 80.0
    assert trainer.run.header()["step"] == "8"  # the later of two as good
    assert_equal(trainer.run.load_model().state_dict(), at[8])


def test_budget_by_epochs(tmp_path: Path) -> None:
    trainer = begin(
        small_config(tmp_path, "train.max_epochs=2", "train.max_steps=100000", "train.batch_tokens=1024")
    )
    trainer.train()
    now = trainer.progress
    assert now.step == 2 * now.batches and now.epoch + now.batch / now.batches == 2
    assert trainer.budget_used == 1
    assert begin(trainer.config).budget_used >= 1


def test_budget_by_minutes(tmp_path: Path) -> None:
    trainer = begin(small_config(tmp_path, "train.max_minutes=0.01", "train.max_steps=100000"))
    trainer.train()
    assert 0 < trainer.progress.step < 100000
    assert trainer.progress.seconds >= 0.6 and trainer.budget_used >= 1
    assert begin(trainer.config).budget_used >= 1


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    begin(small_config(tmp_path, "train.max_steps=5")).train()
    trainer = begin(small_config(tmp_path, "train.max_steps=8", "train.learning_rate=0.25"))
    assert trainer.progress.step == 5 and trainer.budget_used < 1
    assert trainer.optimizers[0].param_groups[0]["peak"] == 0.25
    trainer.train()
    assert trainer.progress.step == 8


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_snapshots(count: int, tmp_path: Path) -> None:
    trainer = begin(small_config(tmp_path, "train.max_steps=30", f"checkpoint.snapshots={count}"))
    trainer.train()
    folder = trainer.run.path / "snapshots"
    steps = (
        [int(name.removeprefix("step-").removesuffix(".safetensors")) for name in names(folder)] if count else []
    )
    assert len(steps) == count
    assert steps[-1:] == [30][:count]
    if count > 1:
        assert steps[0] == 0
        gaps = [b - a for a, b in pairwise(steps)]
        assert gaps == sorted(gaps)
    if count:
        last = trainer.run.load_model("snapshots/step-000030")
        assert_equal(last.state_dict(), trainer.model.state_dict())


def test_bfloat16(tmp_path: Path) -> None:
    trainer = begin(small_config(tmp_path, "train.max_steps=3", "train.precision=bfloat16"))
    assert trainer.bfloat16
    trainer.train()
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in trainer.model.parameters())


def test_a_loss_that_is_no_number(tmp_path: Path) -> None:
    trainer = begin(small_config(tmp_path))
    with torch.no_grad():
        trainer.model.source_embedding.tokens.weight.fill_(math.nan)
    with pytest.raises(UserError, match=r"no longer a number after step 10.*train\.learning_rate"):
        trainer.train()
    assert not (trainer.run.path / "best").exists()


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="device=cuda"):
            choose_device("cuda")
    assert use_bfloat16("bfloat16", torch.device("cpu")) and not use_bfloat16("float32", torch.device("cpu"))


def test_a_killed_process_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    """SIGKILL, which no program can catch, at whatever it was doing; the same command again."""
    config = toy_yaml(tmp_path)
    small = [
        "model.width=16", "model.dropout=0.3", "train.max_steps=120", "checkpoint.every_steps=10",
        "validation.every_steps=40", "validation.decode_size=1", "validation.samples=[]",
    ]  # fmt: skip
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert run_script("train.py", config, *small, f"run_dir={whole}").returncode == 0

    command = [sys.executable, str(ROOT / "scripts" / "train.py"), str(config), *small, f"run_dir={killed}"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL) as process:
        while not (killed / "checkpoints" / "last.pt").exists() and process.poll() is None:
            time.sleep(0.002)
        process.kill()
    assert process.returncode == -signal.SIGKILL
    state = RunDirectory(killed).load_checkpoint()
    assert state is not None and 0 < state["progress"]["step"] < 120

    again = run_script("train.py", config, *small, f"run_dir={killed}")
    assert again.returncode == 0
    assert f"Going on from step {state['progress']['step']}.".encode() in again.stderr
    states = [RunDirectory(folder).load_checkpoint() for folder in (whole, killed)]
    assert states[0] is not None and states[1] is not None
    assert_equal(states[0]["model"], states[1]["model"])
    assert torch.equal(states[0]["random"], states[1]["random"])
    best = [RunDirectory(folder).load_model().state_dict() for folder in (whole, killed)]
    assert_equal(best[0], best[1])
    assert names(whole / "snapshots") == names(killed / "snapshots")
    steps = [[record["step"] for record in metrics(RunDirectory(folder))] for folder in (whole, killed)]
    assert steps[0] == steps[1]

"""Training learns, ends when it should, and goes on after a kill as if nothing had happened."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from tests.toy import small_config, write_pairs
from translator import training
from translator.batching import Batch, ahead, collate
from translator.checkpoint import RunDirectory
from translator.config import Config
from translator.errors import UserError
from translator.model import Transformer
from translator.preparation import prepare
from translator.training import Trainer


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


def timeless(record: dict[str, float]) -> dict[str, float]:
    """A line of metrics.jsonl without what the clock says."""
    return {k: v for k, v in record.items() if k not in ("seconds", "tokens_per_second")}


def assert_same_run(a: Path, b: Path) -> None:
    """Bit for bit the same weights on the way and at the end, and the same metrics."""
    states = [RunDirectory(path).load_checkpoint() or {} for path in (a, b)]
    for state in states:
        state["progress"].pop("seconds")
    torch.testing.assert_close(*states, rtol=0, atol=0)
    for name in ("best", "snapshots"):
        assert names(a / name) == names(b / name)
        for file in names(a / name):
            torch.testing.assert_close(load_file(a / name / file), load_file(b / name / file), rtol=0, atol=0)
    assert RunDirectory(a).header() == RunDirectory(b).header()
    logs = [[timeless(record) for record in metrics(RunDirectory(path))] for path in (a, b)]
    assert logs[0] == logs[1]


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


def test_r_drop_costs_only_where_dropout_makes_two_of_a_batch(tmp_path: Path) -> None:
    losses = {}
    for dropout in (0.0, 0.3):
        for alpha in (0.0, 5.0):
            settings = f"train.max_steps=3 train.log_every_steps=1 model.dropout={dropout} train.r_drop={alpha}"
            folder = tmp_path / f"{dropout}-{alpha}"
            folder.mkdir()
            trainer = begin(small_config(folder, *settings.split()))
            trainer.train()
            losses[dropout, alpha] = [line["loss"] for line in metrics(trainer.run) if "loss" in line]
    assert losses[0.0, 5.0] == pytest.approx(losses[0.0, 0.0], rel=1e-3)
    assert all(twice > 1.01 * once for twice, once in zip(losses[0.3, 5.0], losses[0.3, 0.0], strict=True))


RESUMABLE = [
    "train.max_steps=30", "model.dropout=0.3", "validation.every_steps=7", "checkpoint.every_steps=9",
    "train.log_every_steps=4", "checkpoint.snapshots=4",
]  # fmt: skip


@pytest.mark.parametrize("settings", [
    ["train.optimizer=adamw"],
    ["train.optimizer=muon", "train.average=0.9"],
    ["train.precision=bfloat16", "train.accumulate=2", "validation.metric=loss"],
    ["train.max_steps=1000", "train.max_epochs=2", "train.batch_tokens=512"],
    ["tokenizer.sampling=0.3", "tokenizer.sampling_until=0.6"],
], ids=lambda settings: settings[0])  # fmt: skip
def test_an_interrupted_run_ends_as_one_never_interrupted(settings: list[str], tmp_path: Path) -> None:
    whole_dir, parts_dir = tmp_path / "whole", tmp_path / "parts"
    settings = [*RESUMABLE, *settings]
    whole = begin(small_config(tmp_path, *settings, f"run_dir={whole_dir}"))
    whole.train()

    config = small_config(tmp_path, *settings, f"run_dir={parts_dir}")
    sittings = 0
    while not (trainer := begin(config)).finished:
        sittings += 1

        def interrupt(step: int, model: Transformer, trainer: Trainer = trainer) -> None:
            assert not model.training
            trainer.interrupted = step < 28

        trainer.train([interrupt])
        torch.rand(sittings)  # what else happens in the process is of no account
    assert sittings == 4
    assert_same_run(parts_dir, whole_dir)


def test_settings_changed_between_sittings_hold_from_then_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = begin(small_config(tmp_path, "train.max_steps=20", "train.weight_decay=0.3"))
    first.train()
    config = small_config(
        tmp_path, "train.max_steps=30", "train.weight_decay=0.1", "train.learning_rate=0.004",
        "train.embedding_learning_rate=0.02",
    )  # fmt: skip
    second = begin(config)
    groups = second.optimizers[0].param_groups  # the layers' matrices, vectors, embeddings
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0, 0.1]
    assert [group["peak"] for group in groups] == [0.004, 0.004, 0.02]
    second.train()
    assert second.progress.step == 30
    assert second.run.config() == config
    changes = [
        json.loads(line) for line in (second.run.path / "changes.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert changes == [{"step": 20, "changed": {
        "train.max_steps": [20, 30], "train.weight_decay": [0.3, 0.1], "train.learning_rate": [0.01, 0.004],
        "train.embedding_learning_rate": [0.0, 0.02],
    }}]  # fmt: skip
    assert "From step 20 on, train.max_steps=30 instead of 20." in capsys.readouterr().err


@pytest.mark.parametrize("made_ahead", [0, 4])
def test_sampled_cuts_end_with_their_share_of_the_budget(
    made_ahead: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "ahead", lambda items, _: ahead(items, made_ahead))
    sampling = ["tokenizer.sampling=0.1", "tokenizer.sampling_until=0.5", "train.batch_tokens=512"]
    trainer = begin(small_config(tmp_path, *sampling, "train.max_steps=40"))
    data, update, taken = trainer.data, trainer._update, []
    assert data.cut_anew

    def watched(rows: list[int], parts: list[Batch]) -> None:
        best = collate([data.examples[i] for i in rows])
        batches = parts[0], data.batch(rows, trainer.progress.epoch), best
        found, sampled, best_cuts = (batch.target_out.tolist() for batch in batches)
        taken.append((rows, found == sampled, found == best_cuts))
        update(rows, parts)

    trainer._update = watched  # type: ignore[method-assign, assignment]
    trainer.train()
    every_batch = (rows for epoch in itertools.count() for rows in data.order(512, trainer.config.seed, epoch))
    assert [rows for rows, _, _ in taken] == list(itertools.islice(every_batch, 40)), "left out, or taken twice"
    assert all(sampled for _, sampled, _ in taken[:20]) and all(best for _, _, best in taken[20:])
    # Of short sentences now and then both are the same.
    assert sum(best for _, _, best in taken[:20]) < 5 > sum(sampled for _, sampled, _ in taken[20:])


def test_interrupted_before_the_first_validation_it_can_translate(tmp_path: Path) -> None:
    trainer = begin(small_config(tmp_path))
    update = trainer._update

    def interrupting(rows: list[int], parts: list[Batch]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        update(rows, parts)

    trainer._update = interrupting  # type: ignore[method-assign, assignment]
    before = signal.getsignal(signal.SIGTERM)
    trainer.train()
    assert trainer.interrupted and trainer.progress.step == 1
    assert signal.getsignal(signal.SIGTERM) is before
    assert_equal(trainer.run.load_model().state_dict(), trainer.model.state_dict())
    assert not (trainer.run.path / "snapshots").exists() or len(names(trainer.run.path / "snapshots")) == 1


def test_a_second_interrupt_acts_at_once(tmp_path: Path) -> None:
    trainer = begin(small_config(tmp_path))

    def interrupting(rows: list[int], parts: list[Batch]) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        assert trainer.interrupted
        os.kill(os.getpid(), signal.SIGINT)
        pytest.fail("still here")

    trainer._update = interrupting  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        trainer.train()


def test_a_run_without_a_checkpoint_starts_its_log_anew(tmp_path: Path) -> None:
    config = small_config(tmp_path, "train.max_steps=1")
    begin(config)
    log = Path(config.run_dir) / "metrics.jsonl"
    log.write_text('{"step": 1, "loss": 1.0}\n{"step": 2', encoding="utf-8")
    begin(config).train()
    assert [record["step"] for record in metrics(RunDirectory(config.run_dir))] == [1, 1]
    assert metrics(RunDirectory(config.run_dir))[0]["loss"] > 1.5


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, damaged = (
        small_config(tmp_path, *RESUMABLE, f"run_dir={tmp_path / name}") for name in ("whole", "damaged")
    )
    begin(whole).train()
    first = begin(damaged)
    first.train([lambda step, _: setattr(first, "interrupted", step == 21)])
    older, newest = sorted((first.run.path / "checkpoints").iterdir())
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data)
    second = begin(damaged)
    assert f"{newest} is damaged" in capsys.readouterr().err
    assert f"{second.progress.step:08d}" in older.name and second.progress.step < 21
    second.train()
    assert not newest.exists()
    assert_same_run(second.run.path, Path(whole.run_dir))


def test_a_checkpoint_of_an_older_version_is_named(tmp_path: Path) -> None:
    config = small_config(tmp_path, "train.max_steps=2")
    trainer = begin(config)
    trainer.train()
    state = trainer.run.load_checkpoint()
    assert state
    state["optimizers"][0]["param_groups"].pop()
    trainer.run.save_checkpoint(3, state)
    with pytest.raises(UserError, match="an older version of this program wrote its checkpoints; train in a new"):
        begin(config)
    assert trainer.run.load_model()


def test_the_best_weights_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([50.0, 80.0, 60.0, 80.0, 70.0])
    monkeypatch.setattr(training, "chrf", lambda *_: next(scores))
    trainer = begin(small_config(tmp_path, "train.max_steps=10", "validation.every_steps=2"))
    at: dict[int, dict[str, Tensor]] = {}
    trainer.train([lambda step, m: at.update({step: {k: v.clone() for k, v in m.state_dict().items()}})])
    assert list(at) == [2, 4, 6, 8, 10]
    assert trainer.progress.best == 80.0
    assert trainer.run.header()["step"] == "8"  # the later of two as good
    assert_equal(trainer.run.load_model().state_dict(), at[8])


def test_the_loss_can_choose_the_best_weights(tmp_path: Path) -> None:
    trainer = begin(
        small_config(tmp_path, "train.max_steps=12", "validation.every_steps=2", "validation.metric=loss")
    )
    validated: dict[int, float] = {}
    trainer.train([lambda step, _: validated.update({step: trainer.progress.best})])
    losses = {r["step"]: r["validation_loss"] for r in metrics(trainer.run) if "validation_loss" in r}
    best = min(losses, key=lambda step: losses[step])
    assert trainer.run.header()["step"] == str(best)
    assert trainer.progress.best == pytest.approx(-losses[best], abs=1e-5)


def test_patience(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([50.0, 80.0, 60.0, 81.0, 70.0, 80.0, 79.0])
    monkeypatch.setattr(training, "chrf", lambda *_: next(scores))
    settings = ["train.max_steps=100", "validation.every_steps=2", "checkpoint.every_steps=3"]
    trainer = begin(small_config(tmp_path, *settings, "train.patience=3"))
    trainer.train([lambda step, _: setattr(trainer, "interrupted", step == 10)])
    assert trainer.progress.stale == 1 and not trainer.finished
    trainer = begin(small_config(tmp_path, *settings, "train.patience=3"))
    trainer.train()
    assert trainer.progress.step == 14 and trainer.finished
    assert trainer.run.header()["step"] == "8"
    assert "step-000014.safetensors" in names(trainer.run.path / "snapshots")
    assert begin(small_config(tmp_path, *settings, "train.patience=3")).finished
    assert not begin(small_config(tmp_path, *settings, "train.patience=4")).finished


@pytest.mark.parametrize("parts", [2, 3, 50])
def test_a_batch_in_parts_is_the_batch(parts: int, tmp_path: Path) -> None:
    settings = ["train.max_steps=20", "model.dropout=0", "train.log_every_steps=1", "train.learning_rate=0.003"]
    runs = []
    for name, count in (("whole", 1), ("parts", parts)):
        trainer = begin(
            small_config(tmp_path, *settings, f"train.accumulate={count}", f"run_dir={tmp_path / name}")
        )
        trainer.train()
        runs.append([timeless(record) for record in metrics(trainer.run) if "loss" in record])
    assert len(runs[0]) == 20
    for whole, in_parts in zip(*runs, strict=True):
        assert in_parts == pytest.approx(whole, rel=1e-4, abs=1e-5)


def test_averaged_weights_are_judged_and_kept(tmp_path: Path) -> None:
    trainer = begin(small_config(tmp_path, "train.max_steps=10", "train.average=0.9"))
    average = {k: v.clone() for k, v in trainer.model.state_dict().items()}
    update = trainer._update

    def watched(rows: list[int], parts: list[Batch]) -> None:
        update(rows, parts)
        decay = min(0.9, (1 + trainer.progress.step) / (10 + trainer.progress.step))
        for name, weight in trainer.model.state_dict().items():
            average[name] = decay * average[name] + (1 - decay) * weight

    trainer._update = watched  # type: ignore[method-assign, assignment]
    shown: list[dict[str, Tensor]] = []
    trainer.train([lambda _, model: shown.append(model.state_dict())])
    torch.testing.assert_close(trainer.run.load_model().state_dict(), average)
    torch.testing.assert_close(shown[-1], average)
    assert not torch.equal(trainer.model.output.weight, trainer.average.output.weight)
    assert trainer.average.output.weight is trainer.average.target_embedding.tokens.weight


def test_fine_tuning_starts_from_another_runs_best(tmp_path: Path) -> None:
    base = begin(small_config(tmp_path, "train.max_steps=20", f"run_dir={tmp_path / 'base'}"))
    base.train()
    write_pairs(tmp_path / "new.tsv", [(f"Zebras {n}.", f"얼룩말 {n}.") for n in range(60)])
    settings = [f"train.init_from={tmp_path / 'base'}", "data.sources=" + str(tmp_path / "new.tsv")]
    config = small_config(tmp_path, *settings, "train.max_steps=4", "model.dropout=0.2")
    tuned = begin(config)
    assert_equal(tuned.model.state_dict(), base.run.load_model().state_dict())
    for language in ("en", "ko"):
        assert tuned.run.tokenizer(language).model == base.run.tokenizer(language).model
    assert tuned.run.known_words() > base.run.known_words() | {"zebras"}
    tuned.train()
    assert begin(config).progress.step == 4  # resumed, not started from the base again

    with pytest.raises(UserError, match=r"model\.width=16, here it is 32"):
        begin(small_config(tmp_path, *settings, "model.width=32", f"run_dir={tmp_path / 'wide'}"))
    with pytest.raises(UserError, match="no run here"):
        begin(small_config(tmp_path, "train.init_from=absent", f"run_dir={tmp_path / 'none'}"))


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


def test_minutes_count_over_all_sittings_and_end_within_a_step(tmp_path: Path) -> None:
    config = small_config(
        tmp_path, "train.max_minutes=0.02", "train.max_steps=100000", "validation.every_steps=20"
    )
    first = begin(config)
    first.train([lambda step, _: setattr(first, "interrupted", step == 20)])
    second = begin(config)
    assert 0 < first.budget_used == second.budget_used < 1
    used: list[float] = []
    update = second._update

    def watched(rows: list[int], parts: list[Batch]) -> None:
        used.append(second.budget_used)
        update(rows, parts)

    second._update = watched  # type: ignore[method-assign, assignment]
    second.train()
    assert used[0] >= first.budget_used and used == sorted(used)
    assert used[-1] < 1 <= second.budget_used  # the last step began within the budget and ended it


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


def spoil(trainer: Trainer, steps: set[int]) -> None:
    """Let the loss be infinite at these steps."""
    loss = trainer._loss

    def spoiled(model: nn.Module, batch: Batch, smoothing: float) -> Tensor:
        bad = model.training and trainer.progress.step + 1 in steps
        return loss(model, batch, smoothing) + (math.inf if bad else 0.0)

    trainer._loss = spoiled  # type: ignore[method-assign]


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_bad_step_is_left_out_and_its_batch_is_kept(
    optimizer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["train.max_steps=8", "train.log_every_steps=2", f"train.optimizer={optimizer}"]
    trainer = begin(small_config(tmp_path, *settings, "checkpoint.every_steps=1"))
    spoil(trainer, {3, 4, 6})
    weights: list[dict[str, Tensor]] = []
    update = trainer._update

    def watched(rows: list[int], parts: list[Batch]) -> None:
        update(rows, parts)
        weights.append({k: v.clone() for k, v in trainer.model.state_dict().items()})

    trainer._update = watched  # type: ignore[method-assign, assignment]
    trainer.train()
    for step in range(2, 9):
        before, after = weights[step - 2], weights[step - 1]
        assert all(torch.equal(before[k], after[k]) for k in before) == (step in {3, 4, 6}), step

    folder = trainer.run.path / "bad-batches"
    assert names(folder) == ["step-000003.json", "step-000004.json", "step-000006.json"]
    pairs = json.loads((folder / "step-000003.json").read_text(encoding="utf-8"))
    corpus, data = prepare(trainer.config, trainer.run)
    assert [pair["row"] for pair in pairs] == data.order(256, seed=3, epoch=0)[2]
    assert [(pair["english"], pair["korean"]) for pair in pairs] == [corpus.train[pair["row"]] for pair in pairs]
    assert capsys.readouterr().err.count("left out") == 3
    losses = [record["loss"] for record in metrics(trainer.run) if "loss" in record]
    assert len(losses) == 4 and losses[1] is None and all(map(math.isfinite, losses[:1] + losses[2:]))


def test_too_many_bad_steps_in_a_row(tmp_path: Path) -> None:
    settings = ["train.max_bad_steps=3", "checkpoint.every_steps=1"]
    trainer = begin(small_config(tmp_path, *settings))
    spoil(trainer, {2, 3, 5, 6, 7, 8})
    with pytest.raises(UserError, match=r"3 steps in a row, up to step 7;.*bad-batches.*train\.learning_rate"):
        trainer.train()
    again = begin(small_config(tmp_path, *settings))  # the count goes on where it was
    assert again.progress.step == 6 and again.progress.bad_steps == 2
    spoil(again, {7})
    with pytest.raises(UserError, match="up to step 7"):
        again.train()

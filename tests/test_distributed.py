"""Two processes that train together are one process in two parts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.test_training import begin, metrics, timeless
from tests.toy import ROOT, environment, toy_yaml
from translator.checkpoint import RunDirectory
from translator.config_file import load_config
from translator.distributed import Ranks, choose_device, join_ranks, use_bfloat16
from translator.errors import UserError

SMALL = [
    "model.width=16", "model.dropout=0", "validation.decode_size=5", "validation.samples=[]",
    "checkpoint.snapshots=2",
]  # fmt: skip


def torchrun(config: Path, *settings: str) -> list[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return [*command, str(ROOT / "scripts" / "train.py"), str(config), *SMALL, *settings]


def test_two_processes_learn_what_one_does(tmp_path: Path) -> None:
    """With batches so small that at times a rank is left without rows."""
    config = toy_yaml(tmp_path)
    settings = [
        "train.max_steps=20", "train.batch_tokens=20", "train.log_every_steps=1", "train.learning_rate=0.003",
        "validation.every_steps=10", "checkpoint.every_steps=10",
    ]  # fmt: skip
    one, two = RunDirectory(tmp_path / "one"), RunDirectory(tmp_path / "two")
    begin(load_config(config, [*SMALL, *settings, f"run_dir={one.path}"])).train()
    together = subprocess.run(
        torchrun(config, *settings, f"run_dir={two.path}"), capture_output=True, env=environment(), check=False
    )
    assert together.returncode == 0, together.stderr.decode()
    assert together.stdout.count(b"\n") == 1 and together.stderr.count(b"step 20  loss") == 1

    def assert_same_losses() -> None:
        logs = [[timeless(record) for record in metrics(run)] for run in (one, two)]
        assert len(logs[0]) == 22
        for a, b in zip(*logs, strict=True):
            assert a == pytest.approx(b, rel=1e-5, abs=1e-5)

    assert_same_losses()
    newest = max((two.path / "checkpoints").iterdir())
    newest.unlink()
    alone = begin(load_config(config, [*SMALL, *settings, f"run_dir={two.path}"]))  # the second half again
    assert alone.progress.step == 10
    alone.train()
    assert_same_losses()


@pytest.mark.slow
def test_a_rank_that_dies_ends_all(tmp_path: Path) -> None:
    config = toy_yaml(tmp_path)
    command = torchrun(config, "train.max_steps=1000000", "checkpoint.every_steps=20")
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE) as process:
        while process.poll() is None and not list((tmp_path / "run" / "checkpoints").glob("*")):
            time.sleep(0.05)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        victim = int(children.read_text(encoding="utf-8").split()[1])
        os.kill(victim, signal.SIGKILL)
        _, error = process.communicate(timeout=60)
    assert process.returncode != 0
    assert f"(pid: {victim})" in error.decode() and "SIGKILL" in error.decode()


def test_alone_nothing_is_exchanged() -> None:
    with join_ranks() as ranks:
        assert ranks == Ranks() and ranks.main
        model = nn.Linear(2, 2)
        assert ranks.wrap(model) is model
        values = torch.tensor([1.0, 2.0])
        assert ranks.sum(values) is values and values.tolist() == [1, 2]
        assert ranks.agree(3.5, True) == [3.5, True]
        assert ranks.gather("x") == ["x"]
        with ranks.main_first(), ranks.accumulating(model):
            pass


def test_devices() -> None:
    assert choose_device("cpu").type == "cpu"
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    with pytest.raises(UserError, match="device=cuda"):
        choose_device("cuda", local_rank=torch.cuda.device_count())
    assert use_bfloat16("bfloat16", torch.device("cpu")) and not use_bfloat16("float32", torch.device("cpu"))

"""Real processes that are killed, started twice, or run out of disk: the whole of a run, from outside."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.test_training import assert_same_run, begin
from tests.toy import ROOT, environment, run_script, small_config, toy_yaml
from translator.checkpoint import RunDirectory
from translator.config_file import load_config
from translator.errors import UserError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of Unix")

TRAIN = str(ROOT / "scripts" / "train.py")
SMALL = [
    "tokenizer.sampling=0.3", "tokenizer.sampling_until=0.7", "model.width=16", "model.dropout=0.3",
    "train.average=0.99", "train.log_every_steps=4", "checkpoint.every_steps=3", "validation.every_steps=50",
    "validation.decode_size=2", "validation.samples=[]",
]  # fmt: skip


def started(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, *command], env=environment(), stderr=subprocess.PIPE)


def files(run: Path) -> set[str]:
    return {path.name for path in (run / "checkpoints").glob("*")}


def kill_once(command: list[str], run: Path, rng: random.Random, writing: bool) -> bool:
    """SIGKILL, which no program can catch: while a checkpoint is being written, or at any moment after the first
    of this sitting. Returns False if the process was through before.
    """
    before = files(run)
    with started(*command) as process:
        while process.poll() is None and not files(run) - before:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.5))
        while writing and process.poll() is None and not any(name.endswith(".tmp") for name in files(run)):
            pass
        process.kill()
        process.wait()
        assert process.stderr is not None
        assert process.returncode in (0, -signal.SIGKILL), process.stderr.read().decode()
    return process.returncode != 0


def kill_and_compare(folder: Path, kills: int, *settings: str) -> None:
    config, rng = toy_yaml(folder), random.Random(kills)
    whole, killed = folder / "whole", folder / "killed"
    settings = (*SMALL, *settings)
    begin(load_config(config, [*settings, f"run_dir={whole}"])).train()

    command = [TRAIN, str(config), *settings, f"run_dir={killed}"]
    for i in range(kills):
        assert kill_once(command, killed, rng, writing=i % 2 == 0), f"only {i} kills"
    done = run_script("train.py", config, *settings, f"run_dir={killed}")
    assert done.returncode == 0 and b"Going on from step" in done.stderr, done.stderr.decode()
    assert_same_run(killed, whole)
    assert len(files(killed)) == 2  # the last and the one before; nothing half written is left


def test_a_killed_process_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    kill_and_compare(tmp_path, 1, "train.max_steps=200")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_ten_kills(precision: str, tmp_path: Path) -> None:
    kill_and_compare(tmp_path, 10, "train.max_epochs=60", f"train.precision={precision}")


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    config = toy_yaml(tmp_path)
    with RunDirectory(tmp_path / "run").locked():
        second = run_script("train.py", config)
    assert second.returncode == 2 and second.stderr.count(b"\n") == 1
    assert b"another process is preparing or training here" in second.stderr


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Stands in for a full disk: a file that grows beyond `size` bytes cannot be written."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_stops_the_run_and_spoils_nothing(tmp_path: Path) -> None:
    """Weights fit on it, a checkpoint does not."""
    settings = [*SMALL, "validation.every_steps=10"]
    config = small_config(tmp_path, *settings, "train.max_steps=60")
    first = begin(small_config(tmp_path, *settings, "train.max_steps=30"))
    first.train()
    before = files(first.run.path)
    with (
        largest_file(100_000),
        pytest.raises(UserError, match=r"step-00000033-\w+\.pt: cannot be written \(File too"),
    ):
        begin(config).train()
    assert files(first.run.path) == before
    assert first.run.load_model().state_dict().keys() == first.model.state_dict().keys()
    second = begin(config)
    assert second.progress.step == 30
    second.train()
    assert second.finished

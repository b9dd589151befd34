"""Real processes that are killed, started twice, or run out of disk: the whole of a run, from outside."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.test_training import assert_same_run
from tests.toy import ROOT, environment, run_script, toy_yaml
from translator.checkpoint import RunDirectory

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and limits of Unix")

TRAIN = str(ROOT / "scripts" / "train.py")
SMALL = [
    "model.width=16", "model.dropout=0.3", "train.log_every_steps=4", "checkpoint.every_steps=3",
    "validation.every_steps=50", "validation.decode_size=2", "validation.samples=[]", "train.average=0.99",
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
    done = run_script("train.py", config, *settings, f"run_dir={whole}")
    assert done.returncode == 0, done.stderr.decode()

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


def test_a_second_process_is_refused_until_the_first_has_gone(tmp_path: Path) -> None:
    config = toy_yaml(tmp_path)
    command = [TRAIN, str(config), *SMALL, "train.max_steps=100000", "checkpoint.every_steps=1"]
    with started(*command) as first:
        while first.poll() is None and not files(tmp_path / "run"):
            time.sleep(0.01)
        second = run_script("train.py", config)
        assert second.returncode == 2 and second.stderr.count(b"\n") == 1
        assert b"another process is training here" in second.stderr
        first.kill()
    with RunDirectory(tmp_path / "run").locked():
        pass


LIMITED = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_a_full_disk_stops_the_run_and_spoils_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands in for the full disk: weights fit under it, a checkpoint does not."""
    config = toy_yaml(tmp_path)
    run = RunDirectory(tmp_path / "run")
    settings = [*SMALL, "train.max_steps=60"]
    assert run_script("train.py", config, *settings, "train.max_steps=30").returncode == 0
    before = files(run.path)

    with started("-c", LIMITED, TRAIN, str(config), *settings) as process:
        _, error = process.communicate()
    last = error.decode().splitlines()[-1]
    assert process.returncode == 2 and "Traceback" not in error.decode(), error.decode()
    assert last.startswith("error: ") and "checkpoints/step-00000033" in last and "File too large" in last
    assert files(run.path) == before
    state = run.load_checkpoint()
    assert state is not None and state["progress"]["step"] == 30
    assert run_script("train.py", config, *settings).returncode == 0

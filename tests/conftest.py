"""Settings and fixtures for all tests. Nothing here or in them reaches the network or the user's caches."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import hypothesis
import pytest
import torch

from tests.toy import ROOT, ToyRun, run_script, toy_pairs, toy_yaml
from translator.config import TokenizerConfig
from translator.tokenizer import Tokenizer

_HOME = tempfile.TemporaryDirectory(prefix="test-huggingface-")
os.environ["HF_HOME"] = _HOME.name  # nothing has imported `datasets` yet
os.environ["HF_HUB_OFFLINE"] = "1"

hypothesis.settings.register_profile(
    "repeatable",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("repeatable")


torch.set_num_threads(1)  # on tensors this small, threads only wait for each other


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> ToyRun:
    """A run trained by scripts/train.py in some seconds; tests must leave it as it is."""
    folder = tmp_path_factory.mktemp("toy")
    config = toy_yaml(folder)
    done = run_script("train.py", config)
    assert done.returncode == 0, done.stderr.decode()
    return ToyRun(config, Path(folder / "run"), toy_pairs(), done.stdout.decode(), done.stderr.decode())


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of `make demo`, trained in some minutes: all of its epochs, however busy the machine is. A run that
    the variable DEMO_RUN names is copied instead; were its settings others, training would refuse it."""
    run = tmp_path_factory.mktemp("demo") / "run"
    if trained := os.environ.get("DEMO_RUN"):
        shutil.copytree(trained, run)
    command = ["scripts/train.py", "configs/everyday.yaml", f"run_dir={run}", "train.max_minutes=20"]
    subprocess.run([sys.executable, *command], cwd=ROOT, check=True)
    return run


@pytest.fixture(scope="session")
def tokenizers() -> tuple[Tokenizer, Tokenizer]:
    """English and Korean tokenizers of the toy language."""
    english, korean = zip(*toy_pairs(), strict=True)
    settings = TokenizerConfig()
    return Tokenizer.train(english, 340, settings), Tokenizer.train(korean, 340, settings)

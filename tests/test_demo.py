"""The main job from end to end, as `make demo` runs it: the figures that the README promises."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def run(*command: str | Path) -> str:
    """Run a Python program of the repository from its root; returns what it printed."""
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ).stdout


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_demo_model_translates_combinations_it_has_never_seen(demo_run: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh.tsv"
    run("data/everyday/generate.py", "--fresh", "200", "--seed", "20261122", "--out", fresh)

    scores = {}
    for name, data in (("test", Path("data/everyday/test.tsv")), ("fresh", fresh)):
        figures = tmp_path / f"{name}.json"
        run("scripts/evaluate.py", demo_run, "--data", data, "--json", figures)
        scores[name] = {k: v["score"] for k, v in json.loads(figures.read_text(encoding="utf-8")).items()}
    print(scores)
    assert scores["test"]["exact match"] >= 85
    assert scores["test"]["chrF++"] >= 94
    assert abs(scores["fresh"]["exact match"] - scores["test"]["exact match"]) <= 5

    again = run("scripts/train.py", "configs/everyday.yaml", f"run_dir={demo_run}", "train.max_minutes=20")
    assert "trained already" in again
    assert run("scripts/translate.py", demo_run, "I am a student.") == "저는 학생이에요.\n"
    run("scripts/export_attention.py", demo_run, "--source", "I am a student.")
    assert (demo_run / "attention" / "i-am-a-student.cross.png").is_file()

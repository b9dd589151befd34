"""The picture of how training went."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.toy import ROOT, ToyRun
from translator.errors import UserError
from translator.inspection.curves import PANELS, draw_runs, read_curves


def test_every_measure_of_every_run_is_drawn(toy_run: ToyRun, tmp_path: Path) -> None:
    other = tmp_path / "다른 실행"
    other.mkdir()
    (other / "metrics.jsonl").write_text(
        '{"step": 10, "loss": null, "learning_rate": 0.1}\n{"step": 20, "validation_loss": 2.5}\n{"st',
        encoding="utf-8",  # a kill has torn the last line
    )
    figure = draw_runs([toy_run.path, other])
    assert [axes.get_title(loc="left") for axes in figure.axes] == [title for _, title in PANELS]
    curves = read_curves(toy_run.path)
    assert [step for step, _ in curves["loss"]] == list(range(10, 301, 10))
    loss, rate = figure.axes[0], figure.axes[2]
    drawn = [np.asarray(line.get_xydata()).tolist() for line in loss.lines]
    assert drawn[0] == [list(point) for point in curves["loss"]]
    assert drawn[1] == [list(point) for point in curves["validation_loss"]]
    assert drawn[2] == [] and drawn[3] == [[20, 2.5]]
    assert [len(np.asarray(line.get_xydata())) for line in rate.lines] == [30, 1]
    legend = loss.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()][:2] == [toy_run.path.name, other.name]
    figure.savefig(tmp_path / "curves.png")  # a glyph that the font lacks would be an error


def test_a_run_that_has_no_metrics(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.jsonl: no such file"):
        draw_runs([tmp_path])
    (tmp_path / "metrics.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="is empty"):
        draw_runs([tmp_path])


def test_the_script(toy_run: ToyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "folder" / "curves.png"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["plot_run.py", str(toy_run.path), "--out", str(out)])
        runpy.run_path(str(ROOT / "scripts" / "plot_run.py"), run_name="__main__")
        patch.setattr(sys, "argv", [*sys.argv[:-1], str(tmp_path / "curves.txt")])
        with pytest.raises(SystemExit):
            runpy.run_path(str(ROOT / "scripts" / "plot_run.py"), run_name="__main__")
    printed = capsys.readouterr()
    assert printed.err == f"error: {tmp_path / 'curves.txt'}: pictures are .png, .svg, .pdf\n"
    assert printed.out == f"{out}\n" and out.read_bytes().startswith(b"\x89PNG")

"""How training went, as a picture: loss, chrF++, rate and throughput of several runs; how a head came to align."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from translator.errors import UserError
from translator.inspection.figures import font, label

PANELS = (
    ("loss", "loss (nats a token)"),
    ("validation_chrf", "chrF++ (validation)"),
    ("learning_rate", "learning rate"),
    ("tokens_per_second", "target tokens a second"),
)
"""Key in metrics.jsonl, and title. The validation's loss is drawn, dashed, beside the training's."""

Curve = list[tuple[int, float]]
"""(step, value)."""


def draw_runs(runs: Sequence[Path]) -> Figure:
    """One panel a measure, one colour a run."""
    curves = [read_curves(run) for run in runs]
    figure = Figure(figsize=(11, 7.5), layout="constrained")
    for axes, (key, title) in zip(figure.subplots(2, 2, sharex=True).flat, PANELS, strict=True):
        for i, measures in enumerate(curves):
            _draw(axes, measures.get(key, []), f"C{i}", "-")
            if key == "loss":
                _draw(axes, measures.get("validation_loss", []), f"C{i}", "--")
        _plain(axes, title)
        axes.set_xlim(left=0)
        if key in ("validation_chrf", "tokens_per_second"):
            axes.set_ylim(bottom=0)
    for axes in figure.axes[2:]:
        axes.set_xlabel("step", fontproperties=font(9))
    for i, run in enumerate(runs):
        figure.axes[0].plot([], [], color=f"C{i}", label=label(run.resolve().name))
    figure.axes[0].plot([], [], color="#666666", linestyle="--", label="validation, without label smoothing")
    figure.axes[0].legend(prop=font(9), frameon=False)
    return figure


def draw_alignment(curves: dict[str, list[float]]) -> Figure:
    """What `alignment.learning_curves` gives, each against the training step."""
    names = {"error_rate": "alignment error rate, %", "entropy": "entropy, nats", "mark_share": "share on </s>"}
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (key, title) in zip(figure.subplots(1, len(names)), names.items(), strict=True):
        axes.plot(curves["step"], curves[key], color="#08519c", marker="o", markersize=4)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("step", fontproperties=font(9))
        _plain(axes, title)
    return figure


def _plain(axes: Axes, title: str) -> None:
    axes.set_title(title, fontproperties=font(11), loc="left")
    axes.grid(color="#e6e6e6")
    axes.spines[["top", "right"]].set_visible(False)
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_fontproperties(font(9))


def read_curves(run: Path) -> dict[str, Curve]:
    """The measures in a run's metrics.jsonl, by their names there."""
    path = run / "metrics.jsonl"
    if not path.is_file():
        raise UserError(f"{path}: no such file; scripts/train.py writes it while it trains")
    curves: dict[str, Curve] = {}
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:  # what follows the last newline is torn
        record = json.loads(line)
        for key, value in record.items():
            if value is not None:  # the loss of an interval whose every step was left out
                curves.setdefault(key, []).append((record["step"], value))
    if not curves:
        raise UserError(f"{path}: is empty; nothing was trained yet")
    return curves


def _draw(axes: Axes, curve: Curve, colour: str, style: str) -> None:
    """A line, or a dot where one point is all there is."""
    steps, values = zip(*curve, strict=True) if curve else ((), ())
    axes.plot(steps, values, color=colour, linestyle=style, marker="o" if len(curve) == 1 else "", linewidth=1.4)

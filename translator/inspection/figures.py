"""Attention maps as pictures: English across the top, Korean down the side, one colour scale for all.

Drawn with matplotlib's object interface and the font in this folder, so that Hangul and ▁ appear on a machine
without Korean fonts, and so that drawing a picture changes nothing for anyone else in the process.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font

from translator.inspection.maps import AttentionMaps
from translator.inspection.words import Array

FONT = Path(__file__).parent / "font" / "EnKoAttentionSans-Regular.ttf"
COLOURS = "Blues"  # light to dark in one hue: readable without colour vision, and in print
CELL = 0.5  # inches a piece
VALUES_UP_TO = 20  # cells a side; in larger maps the numbers would not be readable


@cache
def _font(size: float) -> FontProperties:
    return FontProperties(fname=str(FONT), size=size)


@cache
def _characters() -> frozenset[int]:
    return frozenset(get_font(str(FONT)).get_charmap())


def label(piece: str) -> str:
    """A piece as it can be drawn: a character the font lacks becomes its code point, never an empty box."""
    return "".join(c if ord(c) in _characters() else f"U+{ord(c):04X}" for c in piece).replace("$", r"\$")


def draw_head(maps: AttentionMaps, layer: int, head: int) -> Figure:
    """One head of cross-attention, large, with the weight in every cell."""
    weights = maps.cross[layer, head]
    rows, columns = weights.shape
    figure = Figure(figsize=(3.6 + CELL * columns, 2.2 + CELL * rows), layout="constrained")
    axes = figure.add_subplot()
    _draw(axes, weights)
    axes.set_xticks(range(columns), [label(p) for p in maps.source.pieces], fontproperties=_font(12), rotation=45,
                    ha="left", rotation_mode="anchor")  # fmt: skip
    steps = [f"{label(a)} → {label(b)}" for a, b in zip(maps.reads, maps.predicts, strict=True)]
    axes.set_yticks(range(rows), steps, fontproperties=_font(12))
    axes.set_ylabel("Korean: piece read → piece predicted", fontproperties=_font(10))
    if max(rows, columns) <= VALUES_UP_TO:
        for t, s in np.ndindex(rows, columns):
            axes.text(s, t, f"{weights[t, s]:.2f}", ha="center", va="center", fontproperties=_font(9),
                      color="white" if weights[t, s] > 0.55 else "#333333")  # fmt: skip
    figure.suptitle(
        f"{label(maps.source.text)}\n{label(maps.target.text)}\n"
        f"cross-attention, decoder layer {layer + 1}, head {head + 1}",
        fontproperties=_font(13),
    )
    return figure


def draw_heads(maps: AttentionMaps) -> Figure:
    """Every head of cross-attention, small: layers down, heads across."""
    layers, heads, rows, columns = maps.cross.shape
    small = 0.16
    figure = Figure(
        figsize=(1.2 + heads * (0.5 + small * columns), 1.5 + layers * (0.6 + small * rows)),
        layout="constrained",
    )
    for layer, head in np.ndindex(layers, heads):
        axes = figure.add_subplot(layers, heads, layer * heads + head + 1)
        _draw(axes, maps.cross[layer, head])
        axes.set_title(f"layer {layer + 1}, head {head + 1}", fontproperties=_font(9))
        axes.set_xticks(range(columns), [label(p) for p in maps.source.pieces] if layer == 0 else [""] * columns,
                        fontproperties=_font(7), rotation=90)  # fmt: skip
        axes.set_yticks(range(rows), [label(p) for p in maps.predicts] if head == 0 else [""] * rows,
                        fontproperties=_font(7))  # fmt: skip
    figure.suptitle(
        f"{label(maps.source.text)}   {label(maps.target.text)}\ncross-attention; rows: piece predicted",
        fontproperties=_font(11),
    )
    return figure


def _draw(axes: Axes, weights: Array) -> None:
    """The coloured cells, with the English labels on top."""
    axes.imshow(weights, cmap=COLOURS, vmin=0, vmax=1, aspect="equal")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_color("#cccccc")


def save(figure: Figure, path: Path) -> None:
    """Write a picture in the format of its suffix; the same figure gives the same bytes."""
    dates = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    path.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context({"svg.hashsalt": path.stem}):
        figure.savefig(path, dpi=150, metadata=dates.get(path.suffix))

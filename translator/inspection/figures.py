"""Attention maps as pictures: English across the top, Korean down the side, one colour scale for all.

Drawn with matplotlib's object interface and the font in this folder, so that Hangul and ▁ appear on a machine
without Korean fonts, and so that drawing a picture changes nothing for anyone else in the process.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import product
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, get_font

from translator.errors import UserError
from translator.inspection.maps import KINDS, AttentionMaps, Kind, Reading
from translator.inspection.words import Array

FONT = Path(__file__).parent / "font" / "EnKoAttentionSans-Regular.ttf"
COLOURS = "Blues"  # light to dark in one hue: readable without colour vision, and in print
CELL, SMALL_CELL = 0.5, 0.16  # inches a piece; figures grow with the sentence, type does not shrink
VALUES_UP_TO = 20  # cells a side; in larger maps the numbers would not be readable


@cache
def font(size: float) -> FontProperties:
    """The bundled font, in points."""
    return FontProperties(fname=str(FONT), size=size)


@cache
def _characters() -> frozenset[int]:
    return frozenset(get_font(str(FONT)).get_charmap())


def label(piece: str) -> str:
    """A piece as it can be drawn: a character the font lacks becomes its code point, never an empty box."""
    return "".join(c if ord(c) in _characters() else f"U+{ord(c):04X}" for c in piece).replace("$", r"\$")


NAMES: dict[Kind, str] = {
    "encoder_self": "encoder self-attention",
    "decoder_self": "decoder self-attention",
    "cross": "cross-attention",
}


def draw_head(maps: AttentionMaps, layer: int, head: int, kind: Kind = "cross") -> Figure:
    """One head, large, piece by piece, with the weight in every cell."""
    weights = maps.arrays[f"{kind}.weights"][layer, head]
    rows, columns = _labels(maps, kind)
    figure = Figure(layout="constrained")
    _draw_large(figure.add_subplot(), weights, rows, columns)
    what = "piece" if kind == "encoder_self" else "piece read → piece predicted"
    return _finish(figure, maps, _large(weights.shape), f"{_place(kind, layer, head)}; rows: {what}")


def draw_words(maps: AttentionMaps, layer: int, head: int, reading: Reading = "predicts") -> Figure:
    """One head of cross-attention, large, word by word, without marks and punctuation."""
    shown = maps.words("cross", reading, specials=False)
    weights = shown.weights[layer, head]
    figure = Figure(layout="constrained")
    rows, columns = ([label(word) for word in words] for words in (shown.queries, shown.keys))
    _draw_large(figure.add_subplot(), weights, rows, columns)
    hidden = shown.hidden[layer, head].mean() if weights.size else 1.0
    what = "read" if reading == "reads" else "predicted"
    note = f"rows: word {what}; {hidden:.0%} of the looks rest on marks and punctuation, left out here"
    return _finish(figure, maps, _large(weights.shape), f"{_place('cross', layer, head)}\n{note}")


def draw_heads(maps: AttentionMaps, kind: Kind = "cross", layer: int | None = None) -> Figure:
    """Every head of one attention, small: layers down, heads across; or those of one layer."""
    weights = maps.arrays[f"{kind}.weights"]
    layers = range(len(weights)) if layer is None else [layer]
    heads = weights.shape[1]
    panels = [
        (f"layer {one + 1}, head {head + 1}", weights[one, head]) for one, head in product(layers, range(heads))
    ]
    what = "piece" if kind == "encoder_self" else "piece predicted"
    return _draw_grid(maps, kind, panels, heads, f"{NAMES[kind]}; rows: {what}")


def draw_three(maps: AttentionMaps, layer: int, head: int) -> Figure:
    """The three attentions side by side, one head of each: of the same place, or of the encoder's last layer."""
    figure = Figure(layout="constrained")
    parts = {kind: maps.arrays[f"{kind}.weights"] for kind in KINDS}
    places = {kind: (min(layer, len(weights) - 1), head) for kind, weights in parts.items()}
    widths = [parts[kind].shape[-1] + 4 for kind in KINDS]  # cells, and the labels of the rows
    grid = figure.add_gridspec(1, 3, width_ratios=widths)
    for number, kind in enumerate(KINDS):
        axes = figure.add_subplot(grid[number])
        rows, columns = _labels(maps, kind, short=True)
        _draw_large(axes, parts[kind][places[kind]], rows, columns)
        axes.set_xlabel(_place(kind, *places[kind]), fontproperties=font(11))
    sizes = max(weights.shape[-2] for weights in parts.values()), sum(widths)
    return _finish(figure, maps, _large(sizes), "rows: English piece; Korean piece predicted")


def draw_history(maps: AttentionMaps, layer: int, head: int) -> Figure:
    """One head of cross-attention at every snapshot of the training run, small, in the order of the steps."""
    assert maps.history is not None
    weights = maps.arrays["history.cross.weights"][:, layer, head]  # snapshots T S
    panels = [(f"step {step:,}", one) for step, one in zip(maps.history["steps"], weights, strict=True)]
    return _draw_grid(
        maps, "cross", panels, min(len(panels), 6), f"{_place('cross', layer, head)}, while learning"
    )


def _place(kind: Kind, layer: int, head: int) -> str:
    return f"{NAMES[kind]}, layer {layer + 1}, head {head + 1}"


def _labels(maps: AttentionMaps, kind: Kind, short: bool = False) -> tuple[list[str], list[str]]:
    """What stands beside the rows and above the columns; `short` names only the piece predicted."""
    columns = maps.reads if kind == "decoder_self" else maps.source.pieces
    if kind == "encoder_self":
        rows = maps.source.pieces
    elif short:
        rows = maps.predicts
    else:
        rows = [f"{read} → {predicted}" for read, predicted in zip(maps.reads, maps.predicts, strict=True)]
    return [label(text) for text in rows], [label(text) for text in columns]


def _draw(axes: Axes, weights: Array) -> None:
    """The coloured cells, with the labels of the columns on top."""
    if weights.size:  # a sentence may have no words
        axes.imshow(weights, cmap=COLOURS, vmin=0, vmax=1, aspect="equal")
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_color("#cccccc")


def _draw_large(axes: Axes, weights: Array, rows: Sequence[str], columns: Sequence[str]) -> None:
    """A map with readable labels, and the numbers in its cells if it is not too large."""
    _draw(axes, weights)
    axes.set_xticks(range(len(columns)), columns, fontproperties=font(12), rotation=45, ha="left",
                    rotation_mode="anchor")  # fmt: skip
    axes.set_yticks(range(len(rows)), rows, fontproperties=font(12))
    if max(weights.shape) <= VALUES_UP_TO:
        for row, column in np.ndindex(weights.shape):
            weight = weights[row, column]
            colour = "white" if weight > 0.55 else "#333333" if weight >= 0.005 else "#b8c4d0"
            text = f"{weight:.2f}" if weight else ""  # exactly 0 is masked
            axes.text(column, row, text, ha="center", va="center", fontproperties=font(9), color=colour)


def _large(shape: tuple[int, ...]) -> tuple[float, float]:
    """Inches for a large map of (rows, columns)."""
    return 3.6 + CELL * shape[1], 2.2 + CELL * shape[0]


def _draw_grid(
    maps: AttentionMaps, kind: Kind, panels: Sequence[tuple[str, Array]], across: int, title: str
) -> Figure:
    """Small maps with their titles, `across` in a row; labels only at the top and at the left."""
    rows, columns = _labels(maps, kind, short=True)
    down = -(-len(panels) // across)
    figure = Figure(layout="constrained")
    for number, (name, weights) in enumerate(panels):
        axes = figure.add_subplot(down, across, number + 1)
        _draw(axes, weights)
        axes.set_title(name, fontproperties=font(9))
        top, left = number < across, number % across == 0
        axes.set_xticks(range(len(columns)), columns if top else [""] * len(columns), fontproperties=font(7),
                        rotation=90)  # fmt: skip
        axes.set_yticks(range(len(rows)), rows if left else [""] * len(rows), fontproperties=font(7))
    inches = (
        1.2 + across * (0.4 + SMALL_CELL * len(columns)),
        1.6 + down * (0.4 + SMALL_CELL * len(rows)),
    )
    return _finish(figure, maps, inches, title)


def _finish(figure: Figure, maps: AttentionMaps, inches: tuple[float, float], title: str) -> Figure:
    """Give a figure its title and its size, which the title may widen."""
    text = figure.suptitle(
        f"{label(maps.source.text)}\n{label(maps.target.text)}\n{title}", fontproperties=font(13)
    )
    width = text.get_window_extent().width / figure.dpi
    figure.set_size_inches(max(inches[0], width + 0.4), inches[1])
    for _ in range(2):  # the second time with the titles where the first one put them, above the labels
        figure.draw_without_rendering()
    figure.set_layout_engine("none")  # arranged once for all formats
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a picture in the format of its suffix; the same figure gives the same bytes."""
    dates = {".png": {}, ".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
    if path.suffix not in dates:
        raise UserError(f"{path}: pictures are {', '.join(dates)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Type 42 keeps the characters in a PDF, so that its text can be searched and copied.
    with matplotlib.rc_context({"svg.hashsalt": path.stem, "pdf.fonttype": 42}):
        figure.savefig(path, dpi=150, metadata=dates[path.suffix])

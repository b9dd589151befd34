"""Draw docs/architecture.png from the code: every file of translator/, and what each imports.

    python -m docs.draw_architecture

The order of the files and the imports are those of tests/test_layout.py; only the names of the stages, and what
each hands on, are written here. The picture carries what it was drawn from, so that a test sees when it is out of
date.
"""

from __future__ import annotations

import json
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patches import Polygon
from PIL import Image

from tests.test_layout import MODULES, ORDER, imports
from translator.inspection.figures import FONT

PICTURE = Path(__file__).parent / "architecture.png"
CELL = 0.21  # inches a file
INK, FAINT = "#1f2430", "#6b7078"

STAGES = {  # the first file of each: its name, what it hands on, its colour
    "errors": ("Ground", "clear mistakes, whole files, settings", "#7a7f87"),
    "tokenizer": ("Data", "sentence pairs → clean pairs → ids → batches", "#2a7f62"),
    "dropout": ("Model", "batches → scores of the next piece, loss", "#1d56b3"),
    "decoding": ("Decoding", "English ids → Korean ids, their scores", "#b4632a"),
    "optimization": ("Training", "batches, loss → a run directory", "#a33b52"),
    "inspection.words": ("Looking inside", "a run, a sentence → maps, pictures, page", "#6a4fa3"),
    "export": ("Using a run", "English → Korean, the page live", "#3b6f8f"),
}
FIRST = ("attention", "model", "training", "decoding")
"""The files to read first, in this order."""


def edges() -> list[tuple[str, str]]:
    """(file, file that it imports), in the order of the files."""
    found = []
    for name in ORDER:
        inside = {i.removeprefix("translator.") for i in imports(MODULES[name])}
        found += [(name, other) for other in ORDER if any(i == other or i.startswith(other + ".") for i in inside)]
    return found


def source() -> str:
    """What the picture shows, as text."""
    return json.dumps({"files": ORDER, "imports": edges(), "stages": STAGES, "first": FIRST}, ensure_ascii=False)


def drawn_from(picture: Path) -> str:
    """What a picture was drawn from."""
    with Image.open(picture) as image:
        return str(image.info.get("Comment", ""))


def draw() -> Figure:
    """Names on the diagonal. A dot left of a file's name: it imports the file in whose column the dot stands."""
    count = len(ORDER)
    left, right = 17.5, 5.5  # room for the stages, and for the last names
    width, height = left + count + right, count + 2.0
    figure = Figure(figsize=(width * CELL, height * CELL), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(-left, count + right), ylim=(count + 0.6, -1.4))
    axes.axis("off")
    starts = [ORDER.index(name) for name in STAGES]
    colour = [""] * count
    for (title, hands_on, shade), start, end in zip(STAGES.values(), starts, [*starts[1:], count], strict=True):
        colour[start:end] = [shade] * (end - start)
        draw_stage(axes, title, hands_on, shade, start, end)
    for row, name in enumerate(ORDER):
        uses = [ORDER.index(other) for file, other in edges() if file == name]
        users = [ORDER.index(file) for file, other in edges() if other == name]
        axes.plot([min([row, *uses]), row], [row, row], color="#e3e5e8", linewidth=0.7, zorder=1)
        axes.plot([row, row], [row, max([row, *users])], color="#e3e5e8", linewidth=0.7, zorder=1)
        axes.scatter(uses, [row] * len(uses), s=24, color=[colour[i] for i in uses], linewidths=0, zorder=3)
        axes.scatter(row, row, s=58, marker="s", color=colour[row], linewidths=0, zorder=3)
        write(axes, row + 0.75, row, name.replace(".", "/") + ".py", 11.5, colour[row] if name in FIRST else INK)
        if name in FIRST:
            axes.scatter(row, row, s=90, marker="s", color="none", edgecolors=colour[row], linewidths=1, zorder=3)
    explain(axes, count)
    return figure


def draw_stage(axes: Axes, title: str, hands_on: str, colour: str, start: int, end: int) -> None:
    """A stage's triangle, and to the left its name, what it hands on, and the arrow to the next."""
    corners = [(start - 0.5, start - 0.5), (end - 0.5, end - 0.5), (start - 0.5, end - 0.5)]
    axes.add_patch(Polygon(corners, facecolor=colour, alpha=0.10, linewidth=0, zorder=0))
    axes.plot([-17, -0.8], [start - 0.5] * 2, color="#d5d8dc", linewidth=0.7)
    write(axes, -17, start + 0.15, title, 13, colour)
    write(axes, -17, start + 1.25, hands_on, 10, FAINT)


def explain(axes: Axes, count: int) -> None:
    """How to read it, where nothing else can stand: a file looks at those above it alone."""
    lines = [
        ("The files of translator/, and what each imports", 16, INK),
        ("Follow a name to the left: a dot is a file that it imports, in the column under that name.", 11, FAINT),
        ("Follow it down: the files that use it. Nothing looks ahead, as in the decoder's mask.", 11, FAINT),
        ("In a frame: read these first, in the order attention, model, training, decoding.", 11, FAINT),
    ]
    for number, (text, size, shade) in enumerate(lines):
        write(axes, count + 5, 0.2 + 1.4 * number, text, size, shade, align="right")


def write(axes: Axes, x: float, y: float, text: str, size: float, colour: str, align: str = "left") -> None:
    """A line of text, centred in height on `y`."""
    font = FontProperties(fname=str(FONT), size=size)
    axes.text(x, y, text, color=colour, fontproperties=font, va="center_baseline", ha=align, zorder=4)


if __name__ == "__main__":
    draw().savefig(PICTURE, dpi=110, metadata={"Comment": source()})
    print(PICTURE)

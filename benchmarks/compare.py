"""Score trained systems side by side, this project's and its peers', and draw how they learnt.

    python -m benchmarks.compare OURS PEER [PEER …] --corpora DIR --curves curves.png

The folders are what benchmarks.quality and benchmarks/peers/ wrote (systems.py). Printed are Markdown tables: what
was trained, then chrF++ on the first 300 lines of each file, with its 95 % bootstrap interval. In the rows below
the first one stands by how much the first system leads, and p, the share of resamples in which it does not (paired
bootstrap, Koehn 2004; below 0.05 it is significantly better, above 0.95 significantly worse).
A length ratio, the mean over the files, that is far from 1 tells of a system whose chrF++ means nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.systems import LINES, TESTS, VALIDATION, System, read_curve, read_lines
from translator.corpus import read_pairs
from translator.errors import run
from translator.evaluation import Evaluation, Measure, compare, evaluate
from translator.inspection.figures import save


def main() -> None:
    """Parse the arguments, score, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "systems", nargs="+", type=Path, help="their folders; the others are compared with the first"
    )
    parser.add_argument("--corpora", type=Path, required=True, metavar="DIR", help="where NAME.tsv.xz are")
    parser.add_argument("--curves", type=Path, metavar="F.png", help="draw validation chrF++ by minutes")
    args = parser.parse_args()

    systems = [System.load(folder) for folder in args.systems]
    print("| system | track | pairs | parameters | minutes | steps | target tokens | machine |")
    print("|---|---|---:|---:|---:|---:|---:|---|")
    for s in systems:
        print(
            f"| {s.name} | {s.track} | {s.pairs:,} | {s.parameters:,} | {s.minutes:.1f} | {s.steps:,} | "
            f"{s.tokens:,} | {s.machine} |"
        )
    print()
    files = (*VALIDATION, *TESTS)
    scores = {file: score(file, args.systems, args.corpora) for file in files}
    print("| chrF++ | " + " | ".join(f"`{file}`" for file in files) + " | length ratio |")
    print("|---|" + "---:|" * (len(files) + 1))
    for i, system in enumerate(systems):
        cells = [cell(scores[file][0].chrf, scores[file][i].chrf) for file in files]
        ratio = sum(scores[file][i].length_ratio for file in files) / len(files)
        print(f"| {' | '.join([system.name, *cells])} | {ratio:.2f} |")
    if args.curves:
        curves = [(s.name, read_curve(folder)) for s, folder in zip(systems, args.systems, strict=True)]
        save(draw(curves), args.curves)


def score(file: str, folders: Sequence[Path], corpora: Path) -> list[Evaluation]:
    """Each system's translations of a file, measured."""
    pairs = read_pairs(str(corpora / f"{file}.tsv.xz"))[:LINES]
    found = [read_lines(folder / "translations" / f"{file}.ko") for folder in folders]
    return [evaluate(pairs, lines) for lines in found]


def cell(first: Measure, this: Measure) -> str:
    """A score, its interval and, where it is not the first system's, that one's lead."""
    low, high = this.interval
    text = f"{this.of():.2f} ({low:.1f}–{high:.1f})"
    if this is first:
        return text
    lead = compare(first, this)
    return f"{text}; {lead.difference:+.2f}, p {lead.p_better:.3f}"


def draw(curves: Sequence[tuple[str, Sequence[tuple[float, float]]]]) -> Figure:
    """Validation chrF++ by minutes, a line a system."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name, curve in curves:
        minutes, scores = zip(*curve, strict=True) if curve else ((), ())
        axes.plot(minutes, scores, marker="o", markersize=3, linewidth=1.4, label=name.replace("`", ""))
    axes.set_xlabel("minutes of training")
    axes.set_title("chrF++ of 300 validation sentences, greedy", loc="left")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.grid(color="#e6e6e6")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    run(main)

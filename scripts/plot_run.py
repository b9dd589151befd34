"""Draw how training went: loss, chrF++, learning rate and throughput of one or several runs, in one picture.

python scripts/plot_run.py runs/everyday
python scripts/plot_run.py runs/adamw runs/muon --out compared.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from translator.errors import run


def main() -> None:
    """Parse the arguments and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run directory")
    parser.add_argument("--out", type=Path, metavar="F.png", help="default: curves.png in the first RUN")
    args = parser.parse_args()

    from translator.inspection.curves import draw_runs
    from translator.inspection.figures import save

    out = args.out or args.runs[0] / "curves.png"
    save(draw_runs(args.runs), out)
    print(out)


if __name__ == "__main__":
    run(main)

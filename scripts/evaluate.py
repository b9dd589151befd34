"""Score a trained run on a file of english<TAB>korean pairs.

    python scripts/evaluate.py runs/everyday --data data/everyday/test.tsv
    python scripts/evaluate.py runs/muon --data test.tsv --against runs/adamw --details --json scores.json

In brackets after a score: what 95 of 100 resamples of the sentences score (bootstrap). p, beside another run: the
chance of seeing the better of the two win if it were not better (paired bootstrap, Koehn 2004).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from translator.errors import run

if TYPE_CHECKING:
    from translator.corpus import Pair
    from translator.evaluation import Evaluation


def main() -> None:
    """Parse the arguments, translate, print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run directory, such as runs/everyday")
    parser.add_argument("--data", required=True, help="pairs to score on, english<TAB>korean")
    parser.add_argument("--against", metavar="RUN", help="another run, to be compared with")
    parser.add_argument("--beam", type=int, default=1, help="hypotheses kept at each step; 1 is greedy (default)")
    parser.add_argument("--details", action="store_true", help="also scores by length, best and worst sentences")
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    args = parser.parse_args()

    from translator.corpus import read_pairs
    from translator.evaluation import details, summary, to_json

    pairs = read_pairs(args.data)
    start = time.perf_counter()
    this = evaluate_run(args.run, pairs, args.beam)
    seconds = time.perf_counter() - start
    other = evaluate_run(args.against, pairs, args.beam) if args.against else None

    how = "greedy" if args.beam == 1 else f"beam {args.beam}"
    print(f"{args.data}: {len(pairs):,} sentences, {how}, {seconds:.1f} s")
    print(summary(this, other))
    if args.details:
        print(f"\n{details(this)}")
    if args.json:
        figures = json.dumps(to_json(this, other), ensure_ascii=False, indent=2)
        args.json.write_text(figures + "\n", encoding="utf-8")


def evaluate_run(run: str, pairs: list[Pair], beam: int) -> Evaluation:
    """Translate the pairs' English with a run's best weights, and measure."""
    from translator.decoding import Search
    from translator.evaluation import evaluate
    from translator.translate import Translator

    translator = Translator.load(run)
    best = [found[0] for found in translator.hypotheses([english for english, _ in pairs], Search(beam=beam))]
    return evaluate(pairs, [translator.korean.decode(h.ids) for h in best], [h.finished for h in best])


if __name__ == "__main__":
    run(main)

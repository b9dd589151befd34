"""Score a trained run on a file of english<TAB>korean pairs.

python scripts/evaluate.py runs/everyday --data data/everyday/test.tsv
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

from translator.errors import UserError, run


def main() -> None:
    """Parse the arguments, translate, print the scores."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run directory, such as runs/everyday")
    parser.add_argument("--data", required=True, help="pairs to score on, english<TAB>korean")
    parser.add_argument("--beam", type=int, default=1, help="hypotheses kept at each step; 1 is greedy (default)")
    parser.add_argument("--json", type=Path, help="also write the scores to this file")
    args = parser.parse_args()
    if args.beam < 1:
        raise UserError(f"--beam must be at least 1, not {args.beam}")

    from translator.corpus import read_pairs
    from translator.scoring import score
    from translator.translate import Translator

    pairs = read_pairs(args.data)
    translator = Translator.load(args.run)
    start = time.perf_counter()
    hypotheses = translator.translate([english for english, _ in pairs], args.beam)
    seconds = time.perf_counter() - start
    scores = score(hypotheses, [korean for _, korean in pairs])

    how = "greedy" if args.beam == 1 else f"beam {args.beam}"
    print(f"{args.data}: {len(pairs)} sentences, {how}, {seconds:.1f} s")
    for s in scores:
        print(f"  {s.name:<14} {s.value:6.2f}   {s.signature}".rstrip())
    if args.json:
        figures = {s.name: {"score": s.value, "signature": s.signature} for s in scores}
        args.json.write_text(json.dumps(figures, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)

"""Measure how well each head of a run's cross-attention aligns, against gold alignments of sentence pairs.

    python scripts/evaluate_alignment.py runs/everyday \\
        --data data/everyday/test.tsv --gold data/everyday/test.align \\
        --valid-data data/everyday/valid.tsv --valid-gold data/everyday/valid.align

A gold file has a line a pair: `i-j` for sure, `ipj` for possible links, English word first, from 0. The head is
chosen on the validation pairs, or without any by what training found, and reported on --data beside baselines.
RUN/alignment.json keeps the outcome; export_attention.py then shows that head first.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from translator.errors import UserError, run, warn


def main() -> None:
    """Parse the arguments, align, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run directory, such as runs/everyday")
    parser.add_argument("--data", required=True, help="pairs to report on, english<TAB>korean")
    parser.add_argument("--gold", required=True, help="their gold alignments")
    parser.add_argument("--valid-data", help="pairs to choose the head on")
    parser.add_argument("--valid-gold", help="their gold alignments")
    parser.add_argument("--checkpoints", choices=["all"], help="also measure every snapshot, for the curves")
    parser.add_argument("--out", type=Path, help="write the best head's links of --data here, in Pharaoh format")
    args = parser.parse_args()
    if (args.valid_data is None) != (args.valid_gold is None):
        raise UserError("--valid-data and --valid-gold go together")

    from translator.checkpoint import RunDirectory
    from translator.corpus import load_corpus, read_pairs
    from translator.inspection import alignment, curves, figures
    from translator.inspection.model_one import ModelOne
    from translator.preparation import cache_folder

    directory = RunDirectory.open(args.run)
    parts = directory.load_model(), directory.tokenizer("en"), directory.tokenizer("ko")
    best = directory.aligning_head()
    if args.valid_data:
        valid = read_pairs(args.valid_data)
        scores = alignment.head_scores(alignment.align(*parts, valid), alignment.read_gold(args.valid_gold, valid))
        best = min(scores, key=lambda head: scores[head].error_rate)
        print(f"{args.valid_data}, {len(valid)} pairs:\n\n{alignment.head_table(scores)}\n")
    if best is None:
        raise UserError(f"{args.run}: training has chosen no head yet; give --valid-data and --valid-gold")

    pairs = read_pairs(args.data)
    gold = alignment.read_gold(args.gold, pairs)
    aligned = alignment.align(*parts, pairs)
    scores = alignment.head_scores(aligned, gold)
    print(f"{args.data}, {len(pairs)} pairs:\n\n{alignment.head_table(scores)}\n")
    rows = {f"{best}, chosen by {best.chosen_by}": scores[best]} | alignment.baselines(aligned, gold)
    try:
        config = directory.config()
        counted = ModelOne(load_corpus(config.data, cache_folder(config)).train).align(pairs)
        rows["IBM model 1, learnt from the training pairs"] = alignment.score_alignment(counted, gold)
    except UserError as error:
        warn(f"IBM model 1 is left out: {error}")
    print(alignment.score_table(rows))

    learning = None
    if args.checkpoints:
        learning = alignment.learning_curves(directory, pairs, gold, best)
        figures.save(curves.draw_alignment(learning), directory.path / "attention" / "alignment-curves.png")
    directory.save_alignment(best, rows, learning)
    if args.out:
        links = "".join(alignment.pharaoh(pair.links(best)) + "\n" for pair in aligned)
        args.out.write_text(links, encoding="utf-8")


if __name__ == "__main__":
    run(main)

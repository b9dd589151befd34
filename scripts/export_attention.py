"""Write where a trained run looked while it translated: every layer and head, as data and as pictures.

    python scripts/export_attention.py runs/everyday --source "I am a student."
    python scripts/export_attention.py runs/everyday --source "I am a student." --target "저는 학생이에요."
    python scripts/export_attention.py runs/everyday --source "I am a student." --checkpoints all
    python scripts/export_attention.py runs/everyday --input english.txt --out maps

For one sentence: NAME.html, a page to open in a browser and walk through; NAME.attn.json and NAME.attn.npz (all
the numbers, docs/attention-bundle.md), .csv, .align (hard links, Pharaoh), .bertviz.json, and pictures as PNG, SVG
and PDF. For a file, a sentence a line: the numbers of each without details, and index.json, which lists them.

The large pictures and the links are of the head that aligns best, unless --layer and --head name another. A step
counts for the word that it --reading "predicts" or "reads", by --measure "weights" or "norms", as aligns best.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from translator.errors import UserError, run


def parse() -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run directory, such as runs/everyday")
    text = parser.add_mutually_exclusive_group(required=True)
    text.add_argument("--source", help="an English sentence")
    text.add_argument("--input", type=Path, help="a file of English sentences; after a tab, Korean to look at")
    parser.add_argument("--target", help="a Korean translation to look at instead of the model's own")
    parser.add_argument("--beam", type=int, default=1, help="hypotheses kept at each step; 1 is greedy (default)")
    parser.add_argument("--checkpoints", choices=["all"], help="look with every snapshot of the run too")
    parser.add_argument("--layer", type=int, help="decoder layer of the large pictures and the links, from 1")
    parser.add_argument("--head", type=int, help="its head, from 1")
    parser.add_argument("--reading", choices=["predicts", "reads"], help="the word a step counts for")
    parser.add_argument("--measure", choices=["weights", "norms"], help="what links are made from")
    parser.add_argument("--links", choices=["argmax", "mutual", "threshold"], default="argmax", help="each Korean "
                        "word to the English one it looks at most (default), only where that looks back, or to "
                        "all that have a quarter of its look")  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder to write to; default: RUN/attention")
    args = parser.parse_args()
    if (args.layer is None) != (args.head is None):
        raise UserError("--layer and --head go together")
    if args.input and (args.target is not None or args.checkpoints):
        raise UserError("--target and --checkpoints go with --source, not with --input")
    return args


def main() -> None:
    """Compute the maps, write them."""
    args = parse()

    from translator.checkpoint import RunDirectory
    from translator.inspection.exports import file_name, read_sentences, write_bundle, write_sentences
    from translator.inspection.history import add_history
    from translator.inspection.maps import chosen_head
    from translator.lines import name_unknown_words
    from translator.translate import Translator

    translator = Translator.load(args.run)
    wanted = args.layer, args.head, args.reading, args.measure
    translator.aligning_head = best = chosen_head(translator.model, translator.aligning_head, *wanted)
    out = args.out or Path(args.run) / "attention"
    if args.input:
        sentences = read_sentences(args.input)
        maps = (translator.attention(*sentence, args.beam, details=False) for sentence in sentences)
        print(f"{write_sentences(maps, out, args.links)} lists {len(sentences)} sentences")
        return
    name_unknown_words(translator, [args.source])
    found = translator.attention(args.source, args.target, args.beam)
    if args.checkpoints:
        add_history(found, RunDirectory.open(args.run))
    files = write_bundle(found, out, file_name(found.source.text), args.links)
    print(f"{found.source.text}  →  {found.target.text}   (log-probability {found.logprobs.sum():.2f})")
    print(f"cross-attention of layer {best.layer + 1}, head {best.head + 1} is the large picture; in {out}:")
    print(*(f"  {file.name}" for file in files), sep="\n")


if __name__ == "__main__":
    run(main)

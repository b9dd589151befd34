"""Write where a trained run looked while it translated: every layer and head, as data and as pictures.

    python scripts/export_attention.py runs/everyday --source "I am a student."
    python scripts/export_attention.py runs/everyday --source "I am a student." --target "저는 학생이에요."

Writes NAME.html, a page to open in a browser and walk through, NAME.attn.npz (arrays) with NAME.attn.json
(labels), NAME.cross.png and .svg (one head of cross-attention, large) and NAME.cross-heads.png and .svg (all of
them), where NAME is made from the sentence.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from translator.errors import UserError, run


def main() -> None:
    """Parse the arguments, compute the maps, write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run directory, such as runs/everyday")
    parser.add_argument("--source", required=True, help="an English sentence")
    parser.add_argument("--target", help="a Korean translation to look at instead of the model's own")
    parser.add_argument("--beam", type=int, default=1, help="hypotheses kept at each step; 1 is greedy (default)")
    parser.add_argument(
        "--layer",
        type=int,
        help="decoder layer of the large picture, from 1; default: that of the head that aligns best",
    )
    parser.add_argument("--head", type=int, help="its head, from 1")
    parser.add_argument("--out", type=Path, help="folder to write to; default: RUN/attention")
    args = parser.parse_args()
    if args.beam < 1:
        raise UserError(f"--beam must be at least 1, not {args.beam}")
    if (args.layer is None) != (args.head is None):
        raise UserError("--layer and --head go together")

    from translator.checkpoint import RunDirectory
    from translator.inspection import page
    from translator.inspection.figures import draw_head, draw_heads, save
    from translator.translate import Translator

    translator = Translator.load(args.run)
    if unknown := translator.unknown_words(args.source):
        print(f"not in the training data: {', '.join(unknown)}", file=sys.stderr)
    maps = translator.attention(args.source, args.target, args.beam)
    layers, heads = maps.cross.shape[:2]
    if args.layer is not None:
        layer, head = args.layer - 1, args.head - 1
    else:  # what training found; nothing yet if it was stopped before its first validation
        found = RunDirectory(args.run).header().get("aligning_head", f"{layers - 1} 0")
        layer, head = map(int, found.split())
    if not (0 <= layer < layers and 0 <= head < heads):
        raise UserError(f"this model has decoder layers 1 to {layers} with heads 1 to {heads}")

    out = args.out or Path(args.run) / "attention"
    name = file_name(args.source)
    files = [page.write(maps, out / f"{name}.html"), *maps.save(out, name)]
    for kind, figure in (("cross", draw_head(maps, layer, head)), ("cross-heads", draw_heads(maps))):
        for suffix in ("png", "svg"):
            files.append(out / f"{name}.{kind}.{suffix}")
            save(figure, files[-1])
    print(f"{maps.source.text}  →  {maps.target.text}")
    print(f"cross-attention of layer {layer + 1}, head {head + 1} is the large picture; in {out}:")
    for file in files:
        print(f"  {file.name}")


def file_name(sentence: str) -> str:
    """A short name for a sentence's files.

    >>> file_name("I don't know Minsu.")
    'i-don-t-know-minsu'
    """
    return re.sub(r"\W+", "-", sentence.lower()).strip("-")[:60].strip("-") or "sentence"


if __name__ == "__main__":
    run(main)

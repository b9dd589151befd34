"""Write a trained run's best weights as a CTranslate2 model, with its tokenizers, for fast translating.

    python scripts/export_ctranslate2.py runs/everyday
    python scripts/export_ctranslate2.py runs/everyday --precision int8 --out everyday-int8

`scripts/translate.py RUN --engine ctranslate2` does the first by itself.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from translator.errors import run


def main() -> None:
    """Parse the arguments, load the weights, write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run directory, such as runs/everyday")
    parser.add_argument("--out", type=Path, help="folder to write to; default: RUN/export/PRECISION")
    parser.add_argument(
        "--precision",
        choices=("float32", "int8", "bfloat16", "float16"),
        default="float32",
        help="of the weights in the file; float32 (default) can be loaded as any, int8 is a quarter of its size",
    )
    args = parser.parse_args()

    from translator.checkpoint import RunDirectory
    from translator.export import export

    directory = RunDirectory.open(args.run)
    out = args.out or directory.path / "export" / args.precision
    english, korean = directory.tokenizer("en"), directory.tokenizer("ko")
    export(directory.load_model(), directory.config().model, english, korean, out, args.precision)
    megabytes = sum(file.stat().st_size for file in out.iterdir()) / 1e6
    print(f"{out}: {megabytes:.1f} MB in {args.precision}; in Python: ctranslate2.Translator({str(out)!r})")


if __name__ == "__main__":
    run(main)

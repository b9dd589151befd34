"""Translate English into Korean with a trained run: text, a file, a pipe, or a prompt.

    python scripts/translate.py runs/everyday "I am a student." "Where is the library?"
    python scripts/translate.py runs/everyday --input english.txt --output korean.txt --beam 5
    cat english.txt | python scripts/translate.py runs/everyday --engine ctranslate2 > korean.txt
    python scripts/translate.py runs/everyday

N lines in give N lines out, empty ones included. Words that training never held are named on standard error.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path

from translator.errors import UserError, run


def parse() -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run directory, such as runs/everyday")
    parser.add_argument("text", nargs="*", default=[], help="English sentences; none: standard input, or a prompt")
    parser.add_argument("--input", type=Path, help="file to translate, a sentence a line, UTF-8")
    parser.add_argument("--output", type=Path, help="file to write, instead of standard output")
    parser.add_argument("--resume", action="store_true", help="go on where a stopped run left --output")
    parser.add_argument("--beam", type=int, default=1, help="hypotheses kept at each step; 1 is greedy (default)")
    parser.add_argument("--nbest", type=int, default=1, help="print so many for a line: number, score, Korean")
    parser.add_argument("--engine", choices=("torch", "ctranslate2"), default="torch", help="ctranslate2: in int8")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "int8"), help="of the matrix products")
    parser.add_argument("--errors", choices=("strict", "replace"), default="strict", help="if a line is not UTF-8")
    parser.add_argument("--show-source", action="store_true", help="print the English first")
    parser.add_argument("--quiet", action="store_true", help="nothing on standard error but errors")
    args = parser.parse_intermixed_args()  # options may stand before the text, too
    for wrong, message in (
        (args.text and args.input, "give either text or --input, not both"),
        (min(args.beam, args.nbest) < 1, "--beam and --nbest must be at least 1"),
        (args.input and not args.input.is_file(), f"{args.input}: no such file"),
        (args.input and args.output and args.input.resolve() == args.output.resolve(), "--output is the --input"),
        (args.resume and (not args.output or args.nbest > 1), "--resume needs --output, and no --nbest"),
    ):
        if wrong:
            raise UserError(message)
    return args


def main() -> None:
    """Translate what the command line names."""
    args = parse()

    from tqdm import tqdm

    from translator.decoding import Search
    from translator.lines import read, translated, writing
    from translator.prompt import Prompt
    from translator.translate import Translator

    translator = Translator.load(args.run, engine=args.engine, precision=args.precision)
    search = Search(beam=max(args.beam, args.nbest))
    if not (args.text or args.input or args.output) and sys.stdin.isatty():
        return Prompt(translator, Path(args.run), search, args.nbest).loop()
    with writing(args.output, args.resume) as (output, done):
        lines = args.text or read(args.input, args.errors)
        found = translated(translator, islice(lines, done, None), search, done + 1, not args.quiet)
        bar = None if args.output and not args.quiet else True  # None: where there is a terminal
        for number, english, hypotheses in tqdm(found, initial=done, unit=" lines", disable=bar):
            for hypothesis in hypotheses[: args.nbest]:
                columns = [str(number), f"{hypothesis.score:.4f}"] if args.nbest > 1 else []
                columns += [english] if args.show_source else []
                print(*columns, translator.korean.decode(hypothesis.ids), sep="\t", file=output)


if __name__ == "__main__":
    run(main)

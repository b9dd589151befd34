"""Translate English into Korean with a trained run: text, a file, a pipe, or a prompt.

    python scripts/translate.py runs/everyday "I am a student." "Where is the library?"
    python scripts/translate.py runs/everyday --input english.txt --output korean.txt --beam 5
    cat english.txt | python scripts/translate.py runs/everyday > korean.txt

N lines in give N lines out, empty ones included. Words that training never held are named on standard error.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from translator.errors import UserError, run

if TYPE_CHECKING:
    from translator.translate import Translator

CHUNK = 256
"""Lines translated together: enough to fill batches of like length, few enough to see results soon."""


def main() -> None:
    """Parse the arguments and translate what they name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run directory, such as runs/everyday")
    parser.add_argument("text", nargs="*", help="English sentences; none: read standard input, or open a prompt")
    parser.add_argument("--input", type=Path, help="file to translate, a sentence a line, UTF-8")
    parser.add_argument("--output", type=Path, help="file to write, instead of standard output")
    parser.add_argument("--beam", type=int, default=1, help="hypotheses kept at each step; 1 is greedy (default)")
    parser.add_argument("--show-source", action="store_true", help="print english<TAB>korean")
    parser.add_argument("--quiet", action="store_true", help="do not name words that training never held")
    args = parser.parse_intermixed_args()  # options may stand before the text, too
    if args.text and args.input:
        raise UserError("give either text or --input, not both")
    if args.beam < 1:
        raise UserError(f"--beam must be at least 1, not {args.beam}")
    if args.input and not args.input.is_file():
        raise UserError(f"{args.input}: no such file")
    if args.output and args.input and args.output.exists() and args.output.samefile(args.input):
        raise UserError(f"--output would overwrite the input, {args.input}")

    from translator.translate import Translator

    translator = Translator.load(args.run)
    if not (args.text or args.input or args.output) and sys.stdin.isatty():
        prompt(translator, args.beam)
        return
    with contextlib.ExitStack() as files:
        output = sys.stdout
        if args.output:
            output = files.enter_context(open(args.output, "w", encoding="utf-8", newline="\n"))
        # Bytes, so that lines end at \n only: U+2028 and the like are part of a line.
        stream = files.enter_context(open(args.input, "rb")) if args.input else sys.stdin.buffer
        sentences = args.text or decoded(stream, str(args.input or "standard input"))
        for english, korean in translations(translator, iter(sentences), args.beam, args.quiet):
            print(f"{english}\t{korean}" if args.show_source else korean, file=output)


def decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    """Lines as text; a line that is not UTF-8 is named."""
    for number, line in enumerate(lines, start=1):
        try:
            yield line.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise UserError(f"{name}, line {number}: not UTF-8 ({error.reason})") from None


def translations(
    translator: Translator, sentences: Iterator[str], beam: int, quiet: bool
) -> Iterator[tuple[str, str]]:
    """(English, Korean) for each sentence, in order, a chunk at a time."""
    while chunk := list(islice(sentences, CHUNK)):
        if not quiet:
            unknown = dict.fromkeys(word for sentence in chunk for word in translator.unknown_words(sentence))
            if unknown:
                print(f"not in the training data: {', '.join(unknown)}", file=sys.stderr)
        yield from zip(chunk, translator.translate(chunk, beam), strict=True)


def prompt(translator: Translator, beam: int) -> None:
    """Ask for sentences until end of input."""
    with contextlib.suppress(ImportError):  # not on Windows
        import readline  # noqa: F401  gives `input` a line editor with history

    print("Type English; Ctrl-D ends.")
    while True:
        try:
            text = input("> ")
        except EOFError:
            print()
            return
        for _, korean in translations(translator, iter([text]), beam, quiet=False):
            print(korean)


if __name__ == "__main__":
    run(main)

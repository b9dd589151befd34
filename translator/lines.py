"""Lines of text in, as many lines out, whatever they hold."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TextIO

from translator.decoding import Hypothesis, Search
from translator.errors import UserError
from translator.translate import LONGEST, Translator

CHUNK = 256
"""Lines translated together: enough to fill batches of like length, few enough to see results soon."""


def read(path: Path | None, errors: str = "strict") -> Iterator[str]:
    """The lines of a file, or of standard input. See `decoded`."""
    if path is None:
        yield from decoded(sys.stdin.buffer, "standard input", errors)
    else:
        with open(path, "rb") as file:
            yield from decoded(file, str(path), errors)


def decoded(lines: Iterable[bytes], name: str, errors: str = "strict") -> Iterator[str]:
    """Lines as text. One that is not UTF-8 is an error that names it, or, with errors="replace", gets U+FFFD
    for what cannot be read.

    The lines are bytes so that they end at \\n only: U+2028 and the like are part of a line.
    """
    for number, line in enumerate(lines, start=1):
        try:
            yield line.decode("utf-8", errors).rstrip("\r\n")
        except UnicodeDecodeError as error:
            raise UserError(
                f"{name}, line {number}: not UTF-8 ({error.reason}); save it as UTF-8, or add --errors replace"
            ) from None


def name_unknown_words(translator: Translator, texts: Iterable[str]) -> None:
    """Tell standard error of words that training never held: a small model answers them with fluent nonsense."""
    unknown = dict.fromkeys(word for text in texts for word in translator.unknown_words(text))
    if unknown:
        print(f"not in the training data: {', '.join(unknown)}", file=sys.stderr)


def translated(
    translator: Translator, lines: Iterable[str], search: Search, start: int = 1, notes: bool = True
) -> Iterator[tuple[int, str, list[Hypothesis]]]:
    """(number, English, hypotheses) of each line, in order, a chunk at a time; `start` is the first one's number.

    With `notes`, standard error hears of words that training never held, and of lines that were translated in
    parts or cut off at the length limit.
    """
    numbered = enumerate(lines, start)
    while chunk := list(islice(numbered, CHUNK)):
        texts = [text for _, text in chunk]
        if notes:
            name_unknown_words(translator, texts)
        for (number, text), found in zip(chunk, translator.hypotheses(texts, search), strict=True):
            if notes and len(translator.parts(text)) > 1:
                print(f"line {number}: more than {LONGEST} pieces, translated in parts", file=sys.stderr)
            if notes and not found[0].finished:
                print(f"line {number}: the translation was cut off at the length limit", file=sys.stderr)
            yield number, text, found


def resume(output: Path) -> int:
    """How many whole lines a stopped run has written; a last one that it did not finish is taken out."""
    if not output.exists():
        return 0
    with open(output, "r+b") as file:
        whole = lines = 0
        for line in file:
            if line.endswith(b"\n"):
                whole, lines = whole + len(line), lines + 1
        file.truncate(whole)
    return lines


@contextmanager
def writing(output: Path | None, going_on: bool) -> Iterator[tuple[TextIO, int]]:
    """A file to write to a line at a time, so that a stopped run leaves what it has done, or standard output; and
    how many lines it holds already, if the run is `going_on`."""
    if output is None:
        yield sys.stdout, 0
        return
    done = resume(output) if going_on else 0
    with open(output, "a" if going_on else "w", buffering=1, encoding="utf-8", newline="\n") as file:
        yield file, done

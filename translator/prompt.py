"""A prompt at a terminal: type English, watch the Korean being written."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from translator.decoding import Search
from translator.lines import name_unknown_words
from translator.translate import Translator

HELP = """\
Type English to see it in Korean, or one of
  :beam 8       keep 8 hypotheses at each step (1: greedy)
  :nbest 3      show the 3 best translations with their scores (1: only the best); at most as many as the beam
  :attention    write where the model looked in the last sentence, as data and as a picture
  :help         this
Ctrl-D ends. The arrow keys bring back what you typed."""


class Prompt:
    """What the user has set, and what was last translated."""

    def __init__(self, translator: Translator, run: Path, search: Search, nbest: int = 1) -> None:
        self.translator, self.run, self.search, self.nbest = translator, run, search, nbest
        self.last = ""

    def loop(self) -> None:
        """Answer lines until end of input."""
        with contextlib.suppress(ImportError):  # not on Windows
            import readline  # noqa: F401  gives `input` a line editor with history

        print("Type English; :help for more, Ctrl-D to end.")
        while True:
            try:
                line = input("> ").strip()
            except EOFError:
                print()
                return
            except KeyboardInterrupt:  # gives up the line, not the prompt
                print()
                continue
            if line.startswith(":"):
                print(self.command(*line[1:].split()))
            elif line:
                self.answer(line)

    def command(self, name: str = "", *values: str) -> str:
        """Do what a line that begins with a colon asks; returns what to say about it."""
        number = int(values[0]) if len(values) == 1 and values[0].isdecimal() else 0
        if name in ("beam", "nbest") and number > 0:
            if name == "beam":
                self.search = replace(self.search, beam=number)
            else:
                self.nbest, self.search = number, replace(self.search, beam=max(number, self.search.beam))
            return f"beam {self.search.beam}, showing {min(self.nbest, self.search.beam)}"
        if name == "attention" and not values:
            return self.attention() if self.last else "translate something first"
        return HELP if name == "help" else "what is that? try :beam 8, :nbest 3, :attention or :help"

    def answer(self, text: str) -> None:
        """Translate one line and print it, piece by piece where the search is greedy."""
        name_unknown_words(self.translator, [text])
        self.last = text
        if self.nbest == 1 and self.search.beam == 1 and self.translator.exported is None:
            shown = ""
            for korean in self.translator.translate_stream(text, self.search):
                # A piece may change what was there (the bytes of a rare character): then write the line anew.
                more = korean[len(shown) :] if korean.startswith(shown) else f"\r\033[K{korean}"
                print(more, end="", flush=True)
                shown = korean
            print()
            return
        [found] = self.translator.hypotheses([text], self.search)
        for hypothesis in found[: self.nbest]:
            score = f"{hypothesis.score:8.3f}  " if self.nbest > 1 else ""
            print(score + self.translator.korean.decode(hypothesis.ids))

    def attention(self) -> str:
        """Write the maps of the last sentence; returns where they are."""
        from translator.inspection.figures import draw_heads, save

        maps = self.translator.attention(self.last, beam=self.search.beam)
        folder = self.run / "attention"
        picture = folder / "prompt.cross-heads.png"
        maps.save(folder, "prompt")
        save(draw_heads(maps), picture)
        return f"{picture} (and prompt.attn.json, prompt.attn.npz beside it)"

"""Text in, text out: a trained run as a translator."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from translator.batching import pad_and_end
from translator.checkpoint import RunDirectory
from translator.decoding import GREEDY, Hypothesis, Search, decode_all, forced_logprobs, length_penalty, write
from translator.errors import UserError
from translator.export import ExportedModel, export_of
from translator.hardware import keep_freed_memory
from translator.inspection.maps import AttentionMaps, attention_maps
from translator.model import Transformer
from translator.packing import packed
from translator.scoring import AligningHead
from translator.tokenizer import Tokenizer, normalize, split_words

LONGEST = 128
"""English pieces translated at once. Models are trained on sentences; longer texts are cut into parts."""

Engine = Literal["torch", "ctranslate2"]
Precision = Literal["float32", "bfloat16", "int8"]


@dataclass
class Translator:
    """A trained model with its tokenizers.

    >>> translator = Translator.load("runs/everyday")  # doctest: +SKIP
    >>> translator.translate(["I am a student."])  # doctest: +SKIP
    ['저는 학생이에요.']
    """

    model: Transformer
    english: Tokenizer
    korean: Tokenizer
    known_words: set[str]
    """English words of the training data, in lower case."""
    fast: Transformer | None = None
    """The same model made for translating alone; without one, `model` translates."""
    exported: ExportedModel | None = None
    """The same model in CTranslate2, which then does the translating."""
    aligning_head: AligningHead | None = None
    """The head of cross-attention to look at first."""

    @classmethod
    def load(
        cls, run: str | Path, device: str = "cpu", engine: Engine = "torch", precision: Precision | None = None
    ) -> Translator:
        """Read the best weights of a run directory.

        `precision` is that of the matrix products, with torch float32 (the default) or bfloat16, with CTranslate2
        int8 (the default) or float32, where the processor has it bfloat16.
        """
        directory = RunDirectory.open(run)
        model = directory.load_model(device=device)
        exported = None
        if engine == "ctranslate2":
            exported = ExportedModel(export_of(directory, model), precision or "int8")
        elif precision == "int8":
            raise UserError("torch translates in float32 or bfloat16; int8 needs the engine ctranslate2")
        keep_freed_memory()
        dtype = torch.bfloat16 if precision == "bfloat16" and exported is None else torch.float32
        if device == "cpu" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            fast = packed(model, dtype)
        else:
            fast = model if dtype == torch.float32 else copy.deepcopy(model).to(dtype)
        english, korean = directory.tokenizer("en"), directory.tokenizer("ko")
        return cls(model, english, korean, directory.known_words(), fast, exported, directory.aligning_head())

    def translate(self, texts: Sequence[str], beam: int = 1) -> list[str]:
        """The best translation of each text, in the same order; an empty text stays empty."""
        return [self.korean.decode(found[0].ids) for found in self.hypotheses(texts, Search(beam=beam))]

    def hypotheses(self, texts: Sequence[str], search: Search = GREEDY) -> list[list[Hypothesis]]:
        """What the decoder found for each text, best first. `korean.decode(hypothesis.ids)` is the sentence.

        A text of more than `LONGEST` pieces is translated in parts, and there is one hypothesis for it: the best
        of each part, one after the other.
        """
        parts = [self.parts(text) for text in texts]
        sources = [ids for of_text in parts for ids in of_text]
        decode = self.exported.decode_all if self.exported else self._decode_all
        found = dict(decode(sources, search))
        in_order = (found[i] for i in range(len(sources)))
        return [join([next(in_order) for _ in of_text], search) for of_text in parts]

    def parts(self, text: str) -> list[list[int]]:
        """The English pieces of a text, in as many parts as it takes; none for an empty text."""
        return split_long(self.english, self.english.encode(text))

    def _decode_all(self, sources: Sequence[list[int]], search: Search) -> Iterator[tuple[int, list[Hypothesis]]]:
        return decode_all(self.fast or self.model, sources, search)

    def translate_stream(self, text: str, search: Search = GREEDY) -> Iterator[str]:
        """The likeliest translation so far, longer by a piece each time; the last is the whole."""
        done: list[int] = []
        for ids in self.parts(text):
            for newest in self.drafts(ids, search):
                yield self.korean.decode([*done, *newest.ids])
            done += newest.ids

    def drafts(self, ids: list[int], search: Search = GREEDY) -> Iterator[Hypothesis]:
        """The likeliest hypothesis for English pieces after each step of the search; the last is what was found.

        CTranslate2 tells nothing on the way: with it there is the last alone.
        """
        if self.exported:
            yield from (found[0] for _, found in self.exported.decode_all([ids], search))
            return
        for [draft] in write(self.fast or self.model, pad_and_end([ids]).to(self.model.device), search):
            yield draft.likeliest()

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Natural log-probability of each (English, Korean) pair's Korean, summed over pieces and end mark."""
        ids = [(self.english.encode(english), self.korean.encode(korean)) for english, korean in pairs]
        found = dict(forced_logprobs(self.fast or self.model, ids))
        return [sum(found[i]) for i in range(len(pairs))]

    def attention(
        self, text: str, target: str | Hypothesis | None = None, beam: int = 1, details: bool = True
    ) -> AttentionMaps:
        """Where the model looked while translating `text`, or while reading the translation `target`: one that
        you give, or a hypothesis that was found before."""
        maps = attention_maps(self.model, self.english, self.korean, text, target, beam, self.known_words, details)
        maps.best = self.aligning_head
        return maps

    def unknown_words(self, text: str) -> list[str]:
        """Words that training never held: a small model answers them with fluent nonsense."""
        words = dict.fromkeys(split_words(normalize(text)))
        return [word for word in words if any(map(str.isalpha, word)) and word.lower() not in self.known_words]


def split_long(tokenizer: Tokenizer, ids: list[int], longest: int = LONGEST) -> list[list[int]]:
    """Cut the pieces of a text of more than `longest` at the ends of its sentences; where one is still too long,
    before a word, or wherever it must be. No pieces, no parts."""
    if len(ids) <= longest:
        return [ids] if ids else []
    pieces = tokenizer.pieces(ids)
    parts: list[list[int]] = []
    start = word = 0  # where the part begins, and the last word in it
    for at in range(1, len(ids) + 1):
        opens = at == len(ids) or pieces[at].startswith("▁")
        if opens and pieces[at - 1].endswith((".", "!", "?")):
            cut = at
        elif at - start == longest:
            cut = word if word > start and not opens else at
        else:
            cut = start
        if opens:
            word = at
        if cut > start:
            parts.append(ids[start:cut])
            start = cut
    return [*parts, ids[start:]] if start < len(ids) else parts


def join(parts: Sequence[list[Hypothesis]], search: Search) -> list[Hypothesis]:
    """The hypotheses of a text from those of its parts."""
    if len(parts) == 1:
        return parts[0]
    best = [found[0] for found in parts]
    ids, logprob = [i for h in best for i in h.ids], sum(h.logprob for h in best)
    length = max(1, sum(len(h.ids) + h.finished for h in best))
    return [Hypothesis(ids, logprob, logprob / length_penalty(length, search), all(h.finished for h in best))]

"""Text in, text out: a trained run as a translator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from translator.checkpoint import RunDirectory
from translator.decoding import Hypothesis, decode_all
from translator.inspection.maps import AttentionMaps, attention_maps
from translator.model import Transformer
from translator.scoring import AligningHead
from translator.tokenizer import Tokenizer, normalize, split_words


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
    aligning_head: AligningHead | None = None
    """The head of cross-attention to look at first."""

    @classmethod
    def load(cls, run: str | Path, device: str = "cpu") -> Translator:
        """Read the best weights of a run directory."""
        directory = RunDirectory.open(run)
        model = directory.load_model(device=device)
        english, korean = directory.tokenizer("en"), directory.tokenizer("ko")
        return cls(model, english, korean, directory.known_words(), directory.aligning_head())

    def translate(self, texts: Sequence[str], beam: int = 1, alpha: float = 1.0) -> list[str]:
        """The best translation of each text, in the same order; an empty text stays empty."""
        return [self.korean.decode(found[0].ids) for found in self.hypotheses(texts, beam, alpha)]

    def hypotheses(self, texts: Sequence[str], beam: int = 1, alpha: float = 1.0) -> list[list[Hypothesis]]:
        """What the decoder found for each text, best first."""
        sources = [self.english.encode(text) for text in texts]
        results = [[Hypothesis([], 0.0, 0.0)] for _ in sources]
        filled = [i for i, source in enumerate(sources) if source]
        for i, found in decode_all(self.model, [sources[i] for i in filled], beam, alpha):
            results[filled[i]] = found
        return results

    def attention(
        self, text: str, target: str | None = None, beam: int = 1, details: bool = True
    ) -> AttentionMaps:
        """Where the model looked while translating `text`, or while reading the translation `target`."""
        maps = attention_maps(self.model, self.english, self.korean, text, target, beam, self.known_words, details)
        maps.best = self.aligning_head
        return maps

    def unknown_words(self, text: str) -> list[str]:
        """Words that training never held: a small model answers them with fluent nonsense."""
        words = dict.fromkeys(split_words(normalize(text)))
        return [word for word in words if any(map(str.isalpha, word)) and word.lower() not in self.known_words]

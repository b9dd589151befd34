"""Text to ids and back: one normaliser, and SentencePiece (Kudo & Richardson 2018) on top of it."""

from __future__ import annotations

import hashlib
import heapq
import io
import math
import random
import re
import unicodedata
from collections.abc import Iterable
from functools import cached_property, lru_cache
from pathlib import Path

import sentencepiece

from translator.config import TokenizerConfig
from translator.errors import UserError

UNK, PAD, BOS, EOS = 0, 1, 2, 3
"""Ids of the special pieces: unknown, padding, begin and end of a sentence."""

# NFKC would turn the letters of ㅋㅋㅋ (U+3131 to U+318E) into conjoining jamo that never match text again.
_NOT_JAMO = re.compile("[^\u3131-\u318e]+")


def normalize(text: str) -> str:
    """Bring text to the one form that training, translating and scoring all use.

    Control and zero-width characters go, Hangul is composed, width and compatibility forms are unified (NFKC),
    runs of white space become one space.

    >>> normalize("Ｉ  am\\u200b a student…")
    'I am a student...'
    >>> normalize("ㅋㅋ 한국")
    'ㅋㅋ 한국'
    """
    if not text.isprintable() or not unicodedata.is_normalized("NFKC", text):  # seldom; what follows is slow
        text = "".join(" " if c.isspace() else c for c in text if c.isspace() or not _is_invisible(c))
        text = unicodedata.normalize("NFC", text)
        text = _NOT_JAMO.sub(lambda m: unicodedata.normalize("NFKC", m.group()), text)
    # SentencePiece writes spaces as ▁; a real one in the text would come back as a space.
    return " ".join(text.replace("▁", "_").split())


def _is_invisible(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs")


def split_words(text: str) -> list[str]:
    """Words as alignments count them: split at white space, punctuation at either end a word of its own.

    >>> split_words("I don't know, Minsu...")
    ['I', "don't", 'know', ',', 'Minsu', '...']
    """
    words = []
    for token in text.split():
        start, end = 0, len(token)
        while start < end and _is_punctuation(token[start]):
            start += 1
        while end > start and _is_punctuation(token[end - 1]):
            end -= 1
        words += [part for part in (token[:start], token[start:end], token[end:]) if part]
    return words


def _is_punctuation(char: str) -> bool:
    return unicodedata.category(char).startswith("P")


def _sample(lines: Iterable[str], size: int) -> list[str]:
    """At most `size` of the lines, those with the smallest hashes, in their order; holds no more than these."""
    hashed = ((hashlib.blake2b(line.encode(), digest_size=8).digest(), i, line) for i, line in enumerate(lines))
    return [line for _, line in sorted((i, line) for _, i, line in heapq.nsmallest(size, hashed))]


class Tokenizer:
    """One language's SentencePiece model."""

    def __init__(self, model: bytes) -> None:
        self.model = model
        self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        self._last_pieces = lru_cache(20_000)(self._count_cuts)  # most words of a corpus are a few

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read a `.model` file."""
        try:
            return cls(path.read_bytes())
        except FileNotFoundError:
            raise UserError(f"{path}: no such tokenizer; copy the run whole, or train it anew") from None
        except RuntimeError:
            raise UserError(f"{path}: not a SentencePiece model") from None

    @classmethod
    def train(cls, lines: Iterable[str], size: int, config: TokenizerConfig) -> Tokenizer:
        """Learn at most `size` pieces from normalised lines. The same lines give the same model, byte for byte.

        Of more than `config.max_lines` lines, those with the smallest hashes are used, in their order.
        """
        lines = _sample(lines, config.max_lines)
        while True:
            model = io.BytesIO()
            try:
                sentencepiece.SentencePieceTrainer.train(
                    sentence_iterator=iter(lines),
                    model_writer=model,
                    model_type=config.type,
                    vocab_size=size,
                    hard_vocab_limit=config.type == "bpe",  # unigram may find fewer pieces by itself
                    character_coverage=min(config.character_coverage, 1.0),
                    normalization_rule_name="identity",  # `normalize` has done it
                    byte_fallback=True,
                    split_digits=True,
                    unk_id=UNK,
                    pad_id=PAD,
                    bos_id=BOS,
                    eos_id=EOS,
                    num_threads=1,  # another number of threads finds other pieces
                    minloglevel=2,
                )
                return cls(model.getvalue())
            except RuntimeError as error:
                # Small corpora hold fewer BPE merges than were asked for; the message says how many.
                limit = re.search(r"value <= (\d+)", str(error))
                if limit and int(limit[1]) < size:
                    size = int(limit[1])
                    continue
                raise UserError(f"tokenizer of {size} pieces cannot be trained: {str(error).strip()}") from None

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of `text`, without begin and end marks. Any text, seen before or not."""
        return list(self._processor.encode(normalize(text)))

    def encode_lines(self, lines: list[str]) -> list[list[int]]:
        """The same for many lines that `normalize` has been applied to, on all cores."""
        found: list[list[int]] = self._processor.encode(lines, num_threads=-1)
        return found

    def sample(self, text: str, alpha: float, seed: int) -> list[int]:
        """One of the many ways to cut a normalised text, as likely as its probability to the power `alpha`.

        Of unigram pieces. The same for the same seed, so that a run which was killed sees what it would have seen.
        (SentencePiece samples too; from its version 0.2.2 on, a seed gives other cuts in every process.)
        """
        dice = random.Random(seed)
        cut: list[int] = []
        for word in reversed(re.findall("▁[^▁]*", self._processor.normalize(text))):  # no piece goes over a space
            last_pieces, end = self._last_pieces(word, alpha), len(word)
            while end:
                end, ids = dice.choices(*last_pieces[end])[0]
                cut[:0] = ids
        return cut

    def _count_cuts(self, word: str, alpha: float) -> list[tuple[list[tuple[int, list[int]]], list[float]]]:
        """For the first 0, 1, … characters of a word, the pieces they may end with (start, ids), with weights.

        The weight of a piece is the sum over all cuts that end with it.
        """
        pieces, longest, unknown = self._probabilities
        total = [0.0]  # logarithm of the weights of all cuts of the first characters, summed
        steps: list[tuple[list[tuple[int, list[int]]], list[float]]] = [([], [])]
        for end in range(1, len(word) + 1):
            spelled = [EOS + 1 + byte for byte in word[end - 1].encode()]  # the byte pieces follow the specials
            found = {end - 1: (spelled, unknown)}  # unless the character has a piece of its own
            found |= {k: pieces[x] for k in range(max(0, end - longest), end) if (x := word[k:end]) in pieces}
            logs = [total[start] + alpha * score for start, (_, score) in found.items()]
            top = max(logs)
            weights = [math.exp(log - top) for log in logs]
            steps.append(([(start, ids) for start, (ids, _) in found.items()], weights))
            total.append(top + math.log(sum(weights)))
        return steps

    @cached_property
    def _probabilities(self) -> tuple[dict[str, tuple[list[int], float]], int, float]:
        """Ids and log-probability by piece, characters of the longest, log-probability of a character unknown."""
        ids = [i for i in range(EOS + 1, self.size) if not self.is_byte(i)]
        found = {str(self._processor.id_to_piece(i)): ([i], float(self._processor.get_score(i))) for i in ids}
        # The last as SentencePiece has it: so that it is used where nothing else fits.
        return found, max(map(len, found)), min(score for _, score in found.values()) - 10.0

    def decode(self, ids: list[int]) -> str:
        """Text of ids; special pieces write nothing. Bytes that form no character become U+FFFD."""
        text = str(self._processor.decode([i for i in ids if i > EOS]))
        return " ".join(text.split())  # a model may spell out a line break in bytes

    def pieces(self, ids: list[int]) -> list[str]:
        """The pieces as SentencePiece writes them, ▁ for a space: for labels."""
        return [str(self._processor.id_to_piece(i)) for i in ids]

    def is_byte(self, id: int) -> bool:
        """Whether a piece is one byte of a character that has no piece of its own."""
        return bool(self._processor.is_byte(id))

    @property
    def size(self) -> int:
        """Number of pieces, specials included."""
        return int(self._processor.vocab_size())

    @property
    def fingerprint(self) -> str:
        """Identifies the model's exact bytes; saved beside weights so that the two are never mixed up."""
        return hashlib.sha256(self.model).hexdigest()[:16]

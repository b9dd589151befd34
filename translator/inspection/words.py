"""A sentence as pieces and as words, and attention maps carried from the one to the other.

A model looks at pieces; readers, and gold alignments, speak of words. Shapes: `Q` query rows, `K` key columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from translator.tokenizer import EOS, Tokenizer, split_words

Array = NDArray[np.float32]


@dataclass
class Word:
    """A word as alignments count it (`tokenizer.split_words`): English between spaces, or a Korean 어절."""

    text: str
    span: tuple[int, int]
    """Its characters in the sentence's text, (start, end)."""
    pieces: list[int]
    """Which of the sentence's pieces write it."""
    known: bool = True
    """False if the training data does not have it: a small model answers such a word with fluent nonsense."""

    @property
    def punctuation(self) -> bool:
        """Whether it has no letter and no digit, such as the full stop."""
        return not any(map(str.isalnum, self.text))


@dataclass
class Sentence:
    """One side of a translation: its pieces, begin and end marks among them, and its words, which have none."""

    text: str
    ids: list[int]
    pieces: list[str]
    """As SentencePiece writes them, ▁ for a space."""
    spans: list[tuple[int, int]]
    """The characters of `text` that each piece wrote; a character in several byte pieces belongs to each."""
    words: list[Word]

    @classmethod
    def of(cls, ids: list[int], tokenizer: Tokenizer, known_words: set[str] | None = None) -> Sentence:
        """The sentence that `ids` write; `known_words` are those of the training data, in lower case."""
        text, places = tokenizer.decode(ids), spans(tokenizer, ids)
        words: list[Word] = []
        owner: list[int] = []  # of each character, its word
        for part in split_words(text):
            start = text.index(part, len(owner))
            owner += [len(words)] * (start + len(part) - len(owner))  # a space belongs to the word after it
            known = known_words is None or part.lower() in known_words or not any(map(str.isalpha, part))
            words.append(Word(part, (start, start + len(part)), [], known))
        for i, (id, (start, _)) in enumerate(zip(ids, places, strict=True)):
            if id > EOS and words:  # a piece of two words counts for the first, a bare ▁ for the next
                words[owner[min(start, len(owner) - 1)]].pieces.append(i)
        return cls(text, ids, tokenizer.pieces(ids), places, words)

    def units(self, pieces: Sequence[int]) -> list[Unit]:
        """What rows or columns standing for these pieces become when merged: words, and marks by themselves."""
        word_of = {piece: number for number, word in enumerate(self.words) for piece in word.pieces}
        units: list[Unit] = []
        for place, piece in enumerate(pieces):
            number = word_of.get(piece)
            if number is None:
                units.append(Unit(self.pieces[piece], [place], None, special=True))
            elif units and units[-1].word == number:
                units[-1].places.append(place)
            else:
                word = self.words[number]
                units.append(Unit(word.text, [place], number, word.punctuation))
        return units


def spans(tokenizer: Tokenizer, ids: list[int]) -> list[tuple[int, int]]:
    """The characters of `tokenizer.decode(ids)` that each piece wrote, as (start, end), spaces left out.

    A character spelt in several byte pieces belongs to each of them; special pieces and bare spaces write
    nothing, so their span is empty.
    """
    written = []  # (piece numbers, text)
    spelt: list[tuple[int, int]] = []  # (piece number, byte) not written yet
    for i, (id, piece) in enumerate(zip(ids, tokenizer.pieces(ids), strict=True)):
        if tokenizer.is_byte(id):
            spelt.append((i, int(piece[1:-1], 16)))
        elif id > EOS:
            written += [*_characters(spelt), ([i], piece.replace("▁", " "))]
            spelt = []
    spans: dict[int, tuple[int, int]] = {}
    end, space = 0, False
    for pieces, text in [*written, *_characters(spelt)]:
        start = None
        for char in text:
            if char.isspace():
                space = end > 0
            else:
                end += space  # as in `tokenizer.decode`, runs of space count once, and only between characters
                start, end, space = end if start is None else start, end + 1, False
        spans |= dict.fromkeys(pieces, (end if start is None else start, end))
    last = 0
    return [(last, last) if i not in spans else (spans[i][0], last := spans[i][1]) for i in range(len(ids))]


def _characters(spelt: list[tuple[int, int]]) -> list[tuple[list[int], str]]:
    """What (piece number, byte) pairs spell in UTF-8, each character with the numbers of its pieces."""
    found = []
    while spelt:
        for length in (1, 2, 3, 4):
            try:
                text = bytes(byte for _, byte in spelt[:length]).decode()
                break
            except UnicodeDecodeError:
                text = "\ufffd"
        else:
            length = 1
        found.append(([i for i, _ in spelt[:length]], text))
        spelt = spelt[length:]
    return found


@dataclass
class Unit:
    """A row or column of a word map."""

    text: str
    places: list[int]
    """The rows or columns of the piece map that it merges."""
    word: int | None = None
    """Its number among the sentence's words; None for a begin or end mark."""
    special: bool = False
    """Whether it is a mark or punctuation: what attention often rests on for want of anything better."""


def merge(weights: Array, queries: Sequence[Unit], keys: Sequence[Unit]) -> Array:
    """Piece map (…, Q, K) → word map: the sum over a key word's pieces, the mean over a query word's.

    So rows that sum to 1 still do.

    >>> a, b = Unit("a", [0, 1]), Unit("b", [2])
    >>> merge(np.array([[0.5, 0.1, 0.4], [0.3, 0.1, 0.6]], dtype=np.float32), [a], [a, b])
    array([[0.5, 0.5]], dtype=float32)
    """
    rows = np.stack([weights[..., unit.places, :].mean(-2) for unit in queries], axis=-2)
    merged: Array = np.stack([rows[..., unit.places].sum(-1) for unit in keys], axis=-1)
    return merged


def hide(weights: Array, hidden: Iterable[int]) -> tuple[Array, Array]:
    """Take out key columns and scale the rest of each row back to a sum of 1; returns the hidden mass too.

    A row that saw nothing else becomes zeros, and its hidden mass is 1.
    """
    hidden = set(hidden)
    shown = [key for key in range(weights.shape[-1]) if key not in hidden]
    rest = weights[..., shown]
    mass = rest.sum(-1, keepdims=True)
    scaled: Array = np.divide(rest, mass, out=np.zeros_like(rest), where=mass > 0)
    return scaled, weights.sum(-1) - mass[..., 0]

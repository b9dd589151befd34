"""Maps between words say the same as maps between pieces."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.test_tokenizer import TOKENIZERS, TYPES, anything
from translator.inspection.words import Sentence, hide, merge, spans
from translator.tokenizer import BOS, EOS, Tokenizer, normalize, split_words

texts = st.text(st.sampled_from(list("저는사과 .,!'漢🙂뷁ㅋab")), max_size=16)


@given(texts)
def test_the_words_are_those_of_the_alignments(tokenizers: tuple[Tokenizer, Tokenizer], text: str) -> None:
    korean = tokenizers[1]
    sentence = Sentence.of([BOS, *korean.encode(text), EOS], korean)
    assert sentence.text == normalize(text)
    assert [word.text for word in sentence.words] == split_words(normalize(text))
    for word in sentence.words:
        assert sentence.text[slice(*word.span)] == word.text
        written = "".join(sentence.text[slice(*sentence.spans[piece])] for piece in word.pieces)
        # A byte piece stands for its whole character, and a piece across two words is the first one's.
        assert set(word.text) <= set(written) or not word.pieces or len(word.pieces) < len(word.text)
    owned = [piece for word in sentence.words for piece in word.pieces]
    assert owned == (list(range(1, len(sentence.ids) - 1)) if sentence.words else [])
    assert all(word.punctuation == (not any(map(str.isalnum, word.text))) for word in sentence.words)


def test_bytes_are_joined_and_unknown_words_named(tokenizers: tuple[Tokenizer, Tokenizer]) -> None:
    english = tokenizers[0]
    sentence = Sentence.of([*english.encode("I like 뷁, zebras!"), EOS], english, {"i", "like"})
    assert [word.text for word in sentence.words] == ["I", "like", "뷁", ",", "zebras", "!"]
    assert [word.known for word in sentence.words] == [True, True, False, True, False, True]
    rare = sentence.words[2]
    assert [sentence.pieces[i] for i in rare.pieces][-3:] == ["<0xEB>", "<0xB7>", "<0x81>"]
    assert {sentence.text[slice(*sentence.spans[i])] for i in rare.pieces} <= {"뷁", ""}
    units = sentence.units(range(len(sentence.ids)))
    assert [unit.text for unit in units] == ["I", "like", "뷁", ",", "zebras", "!", "</s>"]
    assert [unit.special for unit in units] == [False, False, False, True, False, True, True]


@given(texts, texts, st.integers(0, 99), st.booleans())
def test_rows_of_words_still_sum_to_one(
    tokenizers: tuple[Tokenizer, Tokenizer], source: str, target: str, seed: int, predicts: bool
) -> None:
    english, korean = tokenizers
    a = Sentence.of([*english.encode(source), EOS], english)
    b = Sentence.of([BOS, *korean.encode(target), EOS], korean)
    steps = len(b.ids) - 1
    weights = np.random.default_rng(seed).random((2, 3, steps, len(a.ids)), dtype=np.float32)
    weights /= weights.sum(-1, keepdims=True)
    queries = b.units(range(1, steps + 1) if predicts else range(steps))
    keys = a.units(range(len(a.ids)))
    merged = merge(weights, queries, keys)
    assert merged.shape == (2, 3, len(queries), len(keys))
    np.testing.assert_allclose(merged.sum(-1), 1, atol=1e-5)
    # Every piece has its place in one unit.
    assert sorted(place for unit in queries for place in unit.places) == list(range(steps))
    assert sorted(place for unit in keys for place in unit.places) == list(range(len(a.ids)))
    # A word seen by one piece and written by one is the piece.
    for i, query in enumerate(queries):
        for j, key in enumerate(keys):
            if len(query.places) == len(key.places) == 1:
                assert merged[0, 0, i, j] == weights[0, 0, query.places[0], key.places[0]]


@given(st.integers(1, 5), st.integers(1, 6), st.sets(st.integers(0, 5)), st.integers(0, 99))
def test_hidden_columns_are_gone_and_their_mass_is_told(
    rows: int, columns: int, hidden: set[int], seed: int
) -> None:
    weights = np.random.default_rng(seed).random((2, rows, columns), dtype=np.float32)
    weights /= weights.sum(-1, keepdims=True)
    shown = [i for i in range(columns) if i not in hidden]
    rest, mass = hide(weights, hidden)
    assert rest.shape == (2, rows, len(shown))
    np.testing.assert_allclose(mass, weights[..., [i for i in hidden if i < columns]].sum(-1), atol=1e-6)
    if shown:
        np.testing.assert_allclose(rest.sum(-1), 1, atol=1e-6)
        np.testing.assert_allclose(rest * (1 - mass[..., None]), weights[..., shown], atol=1e-6)


def test_a_row_that_saw_only_hidden_columns() -> None:
    rest, mass = hide(np.array([[1.0, 0.0], [0.5, 0.5]], dtype=np.float32), [0])
    assert rest.tolist() == [[0.0], [1.0]] and mass.tolist() == pytest.approx([1.0, 0.5])


@given(st.sampled_from(TYPES), st.lists(st.integers(0, 379), max_size=10), anything)
def test_spans_say_which_characters_each_piece_wrote(
    kind: Literal["unigram", "bpe"], drawn: list[int], text: str
) -> None:
    tokenizer = TOKENIZERS[kind]
    for ids in ([i for i in drawn if i < tokenizer.size], [BOS, *tokenizer.encode(text), EOS]):
        written, places = tokenizer.decode(ids), spans(tokenizer, ids)
        assert len(places) == len(ids) and places == sorted(places)
        covered = {place for start, end in places for place in range(start, end)}
        assert covered >= {place for place, char in enumerate(written) if char != " "}
        for id, piece, (start, end) in zip(ids, tokenizer.pieces(ids), places, strict=True):
            assert 0 <= start <= end <= len(written)
            if id <= EOS:
                assert start == end
            elif not piece.startswith("<0x"):
                assert "".join(written[start:end].split()) == "".join(piece.replace("▁", " ").split())


def test_each_byte_piece_stands_for_its_whole_character() -> None:
    tokenizer = TOKENIZERS["unigram"]
    ids = tokenizer.encode("뷁🙂")
    bytes_ = [
        span for piece, span in zip(tokenizer.pieces(ids), spans(tokenizer, ids), strict=True) if "<0x" in piece
    ]
    assert bytes_ == [(0, 1)] * 3 + [(1, 2)] * 4

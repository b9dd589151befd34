"""Text survives the way to ids and back."""

from __future__ import annotations

import dataclasses
import math
import random
import re
import subprocess
import sys
import unicodedata
from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Literal

import pytest
import sentencepiece
from hypothesis import example, given
from hypothesis import strategies as st

from tests.toy import environment, toy_pairs
from translator.config import TokenizerConfig
from translator.errors import UserError
from translator.tokenizer import BOS, EOS, PAD, UNK, Tokenizer, _sample, normalize, split_words

TYPES: tuple[Literal["unigram", "bpe"], ...] = ("unigram", "bpe")
LINES = [sentence for pair in toy_pairs() for sentence in pair]
TOKENIZERS = {kind: Tokenizer.train(LINES, 380, TokenizerConfig(type=kind)) for kind in TYPES}

anything = st.text() | st.text(
    st.sampled_from("뷁🙂ㅋ각힣漢é…Ａ\u200b\u1112\u1161\u11ab\u3164 \t\n\r\u2028▁<s>/0x4$\\")
)


@given(anything)
@example("ㅋㅋㅋ ㅠㅠ")
@example("ﾡﾢ")
def test_normalize_is_idempotent(text: str) -> None:
    once = normalize(text)
    assert normalize(once) == once
    assert once == once.strip() and "  " not in once and len(once.splitlines()) <= 1


def test_normalize_every_single_character() -> None:
    for code in chain(range(0x30000), range(0xE0000, 0xE0200)):  # all planes that hold characters
        once = normalize(chr(code))
        assert normalize(once) == once


def test_the_letters_of_laughter_stay() -> None:
    for code in range(0x3131, 0x318F):
        assert normalize(chr(code) * 2) == chr(code) * 2
    assert normalize("ㅋㅋ 한국…") == "ㅋㅋ 한국..."


@given(anything)
def test_normalize_composes_and_unifies(text: str) -> None:
    assert normalize(unicodedata.normalize("NFD", text)) == normalize(unicodedata.normalize("NFC", text))
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in normalize(text))


@given(anything | st.text(st.characters(max_codepoint=0x3FF)))
def test_the_quick_way_to_normalise_gives_what_the_slow_one_gives(text: str) -> None:
    slow = "".join(
        " " if c.isspace() else c for c in text if c.isspace() or unicodedata.category(c) not in ("Cc", "Cf", "Cs")
    )
    slow = unicodedata.normalize("NFC", slow)
    parts = re.split("([\u3131-\u318e]+)", slow)  # every second is of ㅋ and its like, which stay
    parts[::2] = [unicodedata.normalize("NFKC", part) for part in parts[::2]]
    assert normalize(text) == " ".join("".join(parts).replace("▁", "_").split())


@given(text=anything, seed=st.integers(0, 2**32 - 1))
@example(text="저는 사과를 좋아해요.", seed=0)
def test_a_cut_at_random_is_the_same_text(text: str, seed: int) -> None:
    tokenizer = TOKENIZERS["unigram"]
    text = normalize(text)
    ids = tokenizer.sample(text, 0.2, seed)
    assert tokenizer.decode(ids) == text and all(EOS < i < tokenizer.size for i in ids)
    tokenizer.sample("another text", 0.5, seed + 1 & 0xFFFFFFFF)
    assert tokenizer.sample(text, 0.2, seed) == ids


def test_a_cut_at_random_is_the_same_in_another_process(tmp_path: Path) -> None:
    tokenizer = TOKENIZERS["unigram"]
    path = tmp_path / "some.model"
    path.write_bytes(tokenizer.model)
    code = "import sys, pathlib, translator.tokenizer as t; x = t.Tokenizer.load(pathlib.Path(sys.argv[1]))"
    code += f"; print([x.sample(line, 0.2, i) for i, line in enumerate({LINES[:20]!r})])"
    command = [sys.executable, "-c", code, str(path)]
    found = subprocess.run(command, env=environment(), capture_output=True, check=True, text=True).stdout
    assert found == f"{[tokenizer.sample(line, 0.2, i) for i, line in enumerate(LINES[:20])]}\n"


def test_a_cut_at_random_is_as_likely_as_its_pieces_say() -> None:
    tokenizer = TOKENIZERS["unigram"]
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.model)
    scores = {processor.id_to_piece(i): processor.get_score(i) for i in range(EOS + 257, tokenizer.size)}

    def cuts(text: str) -> list[list[str]]:
        starts = [text[:k] for k in range(1, len(text) + 1) if text[:k] in scores]
        return [[piece, *rest] for piece in starts for rest in cuts(text[len(piece) :])] if text else [[]]

    line = "Jimin mi"
    words = [cuts("▁" + word) for word in line.split()]
    weights = {
        (*a, *b): math.exp(0.3 * sum(scores[piece] for piece in (*a, *b))) for a in words[0] for b in words[1]
    }
    assert len(weights) > 5
    draws = 3000
    found = Counter(tuple(tokenizer.pieces(tokenizer.sample(line, 0.3, seed))) for seed in range(draws))
    assert found.keys() <= weights.keys()
    for cut, weight in weights.items():
        expected = draws * weight / sum(weights.values())
        assert abs(found[cut] - expected) < 4 * math.sqrt(expected) + 1, cut
    assert [tokenizer.sample(x, 1000.0, 0) for x in LINES] == tokenizer.encode_lines(LINES), "the best is certain"


@pytest.mark.parametrize("kind", TYPES)
def test_many_lines_are_cut_as_one_by_one(kind: Literal["unigram", "bpe"]) -> None:
    tokenizer = TOKENIZERS[kind]
    assert tokenizer.encode_lines(LINES) == [tokenizer.encode(line) for line in LINES]
    assert tokenizer.encode_lines([]) == [] and tokenizer.encode_lines([""]) == [[]]


@given(st.lists(st.text(max_size=3), max_size=30), st.integers(1, 30), st.randoms())
def test_the_sample_of_lines_is_the_same_in_any_order(lines: list[str], size: int, rng: random.Random) -> None:
    sample = _sample(iter(lines), size)
    assert len(sample) == min(size, len(lines))
    rest = iter(lines)
    assert all(line in rest for line in sample), "in their order"
    shuffled = list(lines)
    rng.shuffle(shuffled)
    assert Counter(_sample(shuffled, size)) == Counter(sample)
    assert not Counter(_sample(lines, size - 1)) - Counter(sample) if size > 1 else True


def test_a_tokenizer_learns_from_max_lines_alone() -> None:
    few = dataclasses.replace(TokenizerConfig(), max_lines=300)
    chosen = _sample(LINES, 300)
    assert Tokenizer.train(LINES, 380, few).model == Tokenizer.train(chosen, 380, TokenizerConfig()).model
    assert Tokenizer.train(LINES, 380, few).model != TOKENIZERS["unigram"].model


@pytest.mark.parametrize("kind", TYPES)
@given(text=anything)
@example(text="뷁")
@example(text="🙂 👨‍👩‍👧")
@example(text="ㅋㅋ")
@example(text=unicodedata.normalize("NFD", "각시 한국어"))
@example(text="<s> </s> <unk> <pad> <0x41> ▁")
@example(text='漢字 $_^\\ "NA" null')
def test_nothing_is_lost(kind: Literal["unigram", "bpe"], text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == normalize(text)
    assert all(EOS < i < tokenizer.size for i in ids)
    assert len(tokenizer.pieces(ids)) == len(ids)


@pytest.mark.parametrize("kind", TYPES)
@given(data=st.data())
def test_any_ids_decode_to_one_line(kind: Literal["unigram", "bpe"], data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[kind]
    line_break = tokenizer.encode("\N{SYMBOL FOR LINE FEED}")  # some bytes
    newline = 4 + 0x0A
    assert tokenizer.pieces([newline]) == ["<0x0A>"]
    ids = data.draw(st.lists(st.integers(0, tokenizer.size - 1) | st.sampled_from([newline, *line_break])))
    assert len(tokenizer.decode(ids).splitlines()) <= 1


@pytest.mark.parametrize("kind", TYPES)
def test_special_pieces(kind: Literal["unigram", "bpe"]) -> None:
    tokenizer = TOKENIZERS[kind]
    assert (UNK, PAD, BOS, EOS) == (0, 1, 2, 3)
    assert tokenizer.pieces([UNK, PAD, BOS, EOS]) == ["<unk>", "<pad>", "<s>", "</s>"]
    assert tokenizer.decode([BOS, PAD, UNK, *tokenizer.encode("저는 책을 사요."), EOS]) == "저는 책을 사요."
    assert tokenizer.encode("") == tokenizer.encode(" \n\u200b") == []
    assert tokenizer.decode([]) == ""


@pytest.mark.parametrize("kind", TYPES)
def test_training_again_gives_the_same_bytes(kind: Literal["unigram", "bpe"]) -> None:
    again = Tokenizer.train(iter(LINES), 380, TokenizerConfig(type=kind))
    assert again.model == TOKENIZERS[kind].model
    assert again.fingerprint == TOKENIZERS[kind].fingerprint
    assert len({t.fingerprint for t in TOKENIZERS.values()}) == len(TYPES)


@pytest.mark.parametrize("kind", TYPES)
def test_a_small_corpus_gives_fewer_pieces(kind: Literal["unigram", "bpe"]) -> None:
    tokenizer = Tokenizer.train(LINES, 20000, TokenizerConfig(type=kind))
    assert 260 < tokenizer.size < 20000
    assert tokenizer.decode(tokenizer.encode(LINES[0])) == LINES[0]


@pytest.mark.parametrize("kind", TYPES)
def test_what_cannot_be_trained(kind: Literal["unigram", "bpe"]) -> None:
    config = TokenizerConfig(type=kind)
    with pytest.raises(UserError, match="cannot be trained"):
        Tokenizer.train([], 300, config)
    many = "".join(chr(0xAC00 + i) for i in range(400))
    with pytest.raises(UserError, match="300 pieces"):
        Tokenizer.train([many], 300, dataclasses.replace(config, character_coverage=1.0))


def test_load(tmp_path: Path) -> None:
    path = tmp_path / "en.model"
    with pytest.raises(UserError, match="no such tokenizer"):
        Tokenizer.load(path)
    path.write_bytes(b"not a model")
    with pytest.raises(UserError, match="not a SentencePiece model"):
        Tokenizer.load(path)
    path.write_bytes(TOKENIZERS["bpe"].model)
    assert Tokenizer.load(path).encode(LINES[0]) == TOKENIZERS["bpe"].encode(LINES[0])


@given(anything | st.text(st.sampled_from("ab'-.,!?“”… \n¿")))
def test_split_words_loses_only_white_space(text: str) -> None:
    words = split_words(text)
    assert "".join(words) == "".join(text.split())
    assert all(words) and not any(c.isspace() for word in words for c in word)
    for word in words:  # punctuation stands alone, or inside a word
        marks = [unicodedata.category(c).startswith("P") for c in word]
        assert all(marks) or not (marks[0] or marks[-1])
    assert split_words(" ".join(words)) == words

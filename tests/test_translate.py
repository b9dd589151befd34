"""Text in, text out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import translator
from tests.toy import ToyRun
from translator.errors import UserError
from translator.translate import Translator


@pytest.fixture(scope="module")
def toy(toy_run: ToyRun) -> Translator:
    """The toy run as a translator."""
    return Translator.load(toy_run.path)


def test_it_has_learnt_the_toy_language(toy: Translator, toy_run: ToyRun) -> None:
    pairs = toy_run.pairs[::7]
    found = toy.translate([english for english, _ in pairs])
    right = sum(a == korean for a, (_, korean) in zip(found, pairs, strict=True))
    assert right > 0.9 * len(pairs), found


@pytest.mark.parametrize("beam", [1, 3])
def test_order_is_kept_and_empty_stays_empty(toy: Translator, toy_run: ToyRun, beam: int) -> None:
    texts = ["", *(english for english, _ in toy_run.pairs[:9]), " \t\u200b", "Minsu likes apples. " * 9, "\n"]
    together = toy.translate(texts, beam)
    assert together == [toy.translate([text], beam)[0] for text in texts]
    assert [bool(text) for text in together] == [bool(text.strip("\u200b \t\n")) for text in texts]
    assert toy.translate([]) == []


@settings(max_examples=15)
@given(texts=st.lists(st.text(), max_size=4))
def test_any_text_gives_one_line_each(toy: Translator, texts: list[str]) -> None:
    found = toy.translate(texts)
    assert len(found) == len(texts)
    assert all(len(text.splitlines()) <= 1 for text in found)


def test_hypotheses_are_best_first(toy: Translator) -> None:
    [found] = toy.hypotheses(["Jimin wants milk."], beam=4)
    assert 1 < len(found) <= 4
    scores = [h.score for h in found if h.finished]
    assert scores == sorted(scores, reverse=True)
    assert toy.korean.decode(found[0].ids) == toy.translate(["Jimin wants milk."], beam=4)[0]


def test_unknown_words(toy: Translator) -> None:
    assert toy.unknown_words("Minsu likes zebras, MILK and zebras (Zebras!) 42 ...") == ["zebras", "and", "Zebras"]
    assert toy.unknown_words("I DON'T like ａｐｐｌｅｓ.") == []
    assert toy.unknown_words("") == toy.unknown_words("123 !?") == []


def test_it_can_be_imported_from_the_package() -> None:
    assert translator.Translator is Translator
    with pytest.raises(AttributeError, match="nothing_such"):
        translator.nothing_such  # noqa: B018


def test_no_text_to_look_at(toy: Translator) -> None:
    with pytest.raises(UserError, match="no text"):
        toy.attention(" \n")

"""Text in, text out."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import translator
from tests.toy import ToyRun
from translator.decoding import Search
from translator.errors import UserError
from translator.translate import LONGEST, Translator, split_long


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
    [found] = toy.hypotheses(["Jimin wants milk."], Search(beam=4))
    assert 1 < len(found) <= 4
    scores = [h.score for h in found if h.finished]
    assert scores == sorted(scores, reverse=True)
    assert toy.korean.decode(found[0].ids) == toy.translate(["Jimin wants milk."], beam=4)[0]


pieces = st.lists(st.sampled_from(["▁a", "▁b", "c", ".", "!", "▁!", "?!"]), max_size=60)


class Pieces:
    """Stands for a tokenizer: ids are places in `pieces`."""

    def __init__(self, pieces: list[str]) -> None:
        self._pieces = pieces

    def pieces(self, ids: list[int]) -> list[str]:
        return [self._pieces[i] for i in ids]


@given(pieces, st.integers(1, 12))
def test_long_texts_are_cut_at_the_ends_of_sentences(pieces: list[str], longest: int) -> None:
    ids = list(range(len(pieces)))
    parts = split_long(Pieces(pieces), ids, longest)  # type: ignore[arg-type]
    assert [i for part in parts for i in part] == ids
    if len(ids) <= longest:
        assert len(parts) == bool(ids)
        return
    opens = {i for i in ids if pieces[i].startswith("▁")} | {len(ids)}
    ends = {i for i in opens - {0} if pieces[i - 1][-1] in ".!?"}
    cuts = [part[0] for part in parts[1:]]
    assert ends - {len(ids)} <= set(cuts)  # at every sentence's end
    for part, cut in zip(parts, cuts, strict=False):
        assert 1 <= len(part) <= longest
        if cut not in ends:  # only where the sentence is too long, and inside a word only if the word is
            assert len(part) + next((end for end in sorted(ends) if end >= cut), len(ids)) - cut > longest
            assert cut in opens or not opens & set(range(part[0] + 1, part[0] + longest + 1))


def test_a_very_long_text_is_its_parts_joined(toy: Translator, toy_run: ToyRun) -> None:
    sentences = [english for english, _ in toy_run.pairs[:40]]
    [found] = toy.hypotheses([" ".join(sentences)])
    assert len(toy.parts(" ".join(sentences))) == 40
    assert toy.korean.decode(found[0].ids) == " ".join(toy.translate(sentences))
    each = [h for [h] in toy.hypotheses(sentences)]
    assert found[0].logprob == pytest.approx(sum(h.logprob for h in each), abs=1e-3)
    assert found[0].finished == all(h.finished for h in each)
    for nasty in ("words " * 10_000, "x" * 5_000, "한국어 " * 500, "🙂" * 500, "\0" * 9 + "I like milk."):
        [text] = toy.translate([nasty])
        assert text and "\n" not in text
        assert all(len(part) <= LONGEST for part in toy.parts(nasty))


@pytest.mark.parametrize("text", ["Jimin wants milk.", "", "We buy bread. " * 30])
def test_a_stream_grows_into_the_translation(toy: Translator, text: str) -> None:
    shown = list(toy.translate_stream(text))
    assert shown[-1:] == ([] if not text else toy.translate([text]))
    assert len(shown) >= 3 or not text
    assert all(b.startswith(a) for a, b in pairwise(shown))


def test_scores_are_those_of_the_search(toy: Translator) -> None:
    texts = ["Jimin wants milk.", "They don't buy bread.", "I sell flowers."]
    found = [h for [h] in toy.hypotheses(texts)]
    pairs = [(text, toy.korean.decode(h.ids)) for text, h in zip(texts, found, strict=True)]
    for h, (_, korean), score in zip(found, pairs, toy.score(pairs), strict=True):
        if toy.korean.encode(korean) == h.ids:  # the text might be cut into other pieces
            assert score == pytest.approx(h.logprob, abs=1e-4)
    better, worse = toy.score([pairs[0], (texts[0], pairs[1][1])])
    assert better > worse
    assert toy.score([]) == []


def test_bfloat16_gives_almost_the_same(toy: Translator, toy_run: ToyRun) -> None:
    rounded = Translator.load(toy_run.path, precision="bfloat16")
    texts = [english for english, _ in toy_run.pairs[::9]]
    same = [a == b for a, b in zip(toy.translate(texts), rounded.translate(texts), strict=True)]
    assert sum(same) >= 0.9 * len(texts)
    assert rounded.hypotheses(texts) != toy.hypotheses(texts)  # the last digits of the scores
    with pytest.raises(UserError, match="needs the engine ctranslate2"):
        Translator.load(toy_run.path, precision="int8")


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

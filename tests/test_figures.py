"""Pictures show the maps whole, whatever the pieces are."""

from __future__ import annotations

import copy
import sys
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from pypdf import PdfReader

from tests.toy import ToyRun
from translator.inspection.curves import draw_alignment
from translator.inspection.figures import (
    FONT,
    draw_head,
    draw_heads,
    draw_three,
    draw_words,
    label,
    save,
)
from translator.inspection.maps import AttentionMaps
from translator.inspection.words import Array, Sentence, Word
from translator.translate import Translator

TEXT = "Minsu doesn't look for flowers."


@pytest.fixture(scope="module")
def toy(toy_run: ToyRun) -> Translator:
    """The toy run as a translator."""
    return Translator.load(toy_run.path)


def made_up(target: list[str], source: list[str], text: str) -> AttentionMaps:
    """Maps of any pieces: two layers, two heads."""
    generator = np.random.default_rng(0)

    def weights(*shape: int) -> Array:
        w: Array = generator.random(shape, dtype=np.float32)
        w /= w.sum(-1, keepdims=True)
        return w

    def sentence(pieces: list[str]) -> Sentence:
        n = len(pieces)
        marks = ("<s>", "</s>")
        words = [Word(piece, (0, 0), [i]) for i, piece in enumerate(pieces) if piece not in marks]
        return Sentence(text, [9] * n, pieces, [(0, 0)] * n, words)

    S, T = len(source) + 1, len(target) + 1
    arrays = {f"encoder_self.{kind}": weights(2, 2, S, S) for kind in ("weights", "norms")}
    arrays |= {f"decoder_self.{kind}": np.tril(weights(2, 2, T, T)) for kind in ("weights", "norms")}
    arrays |= {f"cross.{kind}": weights(2, 2, T, S) for kind in ("weights", "norms")}
    return AttentionMaps(
        sentence([*source, "</s>"]), sentence(["<s>", *target, "</s>"]), forced=False,
        arrays=arrays | {"logprobs": weights(T)}, measures={}, model={},
    )  # fmt: skip


ODD = [
    "뷁",
    "ㅋㅋ",
    "漢",
    "🙂",
    "▁",
    "▁저는",
    "<0xEB>",
    "$",
    "$x$",
    "_",
    "^",
    "\\",
    "\\$",
    "%",
    "각",
    "\n",
    "\t",
    "\u200b",
]


def figures_of(maps: AttentionMaps) -> dict[str, Figure]:
    """One of every kind."""
    return {
        "head": draw_head(maps, 1, 0),
        "encoder": draw_head(maps, 0, 1, "encoder_self"),
        "decoder": draw_head(maps, 0, 1, "decoder_self"),
        "words": draw_words(maps, 1, 0),
        "heads": draw_heads(maps),
        "layer": draw_heads(maps, "decoder_self", 1),
        "three": draw_three(maps, 1, 0),
    }


def test_every_label_is_drawn(tmp_path: Path) -> None:
    maps = made_up(ODD, ODD[::-1], "$a_1$ 뷁ㅋㅋ漢🙂▁ \\frac ^\n\t x$")
    for name, figure in figures_of(maps).items():
        for suffix in ("png", "svg", "pdf") if name == "head" else ("png",):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                save(figure, tmp_path / f"{name}.{suffix}")
        texts = [t.get_text() for axes in figure.axes for t in (*axes.get_xticklabels(), *axes.get_yticklabels())]
        for piece in ODD:
            if name != "words" or any(map(str.isalnum, piece)):
                assert any(label(piece) in text for text in texts), piece
        assert len({t.get_fontname() for axes in figure.axes for t in axes.get_xticklabels()}) == 1


def test_no_glyph_of_a_vocabulary_is_missing(toy: Translator, tmp_path: Path) -> None:
    pieces = [*toy.korean.pieces(list(range(toy.korean.size))), "뷁", "ㅋㅋ", "漢", "🙂"]
    figure = Figure(figsize=(12, 12))
    figure.text(0, 0, "\n".join(label(piece) for piece in pieces), fontproperties=FontProperties(fname=str(FONT)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save(figure, tmp_path / "all.png")
    assert label("漢") == "漢" or label("漢") == "U+6F22"
    assert label("🙂") == "U+1F642"


def test_the_pictures_hold_the_weights() -> None:
    maps = made_up(["가", "나"], ["a", "b", "c"], "a b c")
    [axes] = [axes for axes in draw_head(maps, 1, 0).axes if axes.images]
    assert np.array_equal(np.asarray(axes.images[0].get_array()), maps.cross[1, 0])
    assert axes.images[0].get_clim() == (0, 1)
    assert [t.get_text() for t in axes.get_xticklabels()] == maps.source.pieces
    assert [t.get_text() for t in axes.texts] == [f"{w:.2f}" for w in maps.cross[1, 0].flatten()]
    masked = draw_head(maps, 1, 0, "decoder_self").axes[0].texts
    assert [bool(t.get_text()) for t in masked] == [w > 0 for w in maps.decoder_self[1, 0].flatten()]
    [axes] = draw_words(maps, 1, 0, "reads").axes
    shown = maps.words("cross", "reads", specials=False)
    assert np.array_equal(np.asarray(axes.images[0].get_array()), shown.weights[1, 0])
    [axes] = draw_words(maps, 1, 0).axes
    shown = maps.words(specials=False)
    assert np.array_equal(np.asarray(axes.images[0].get_array()), shown.weights[1, 0])
    assert [t.get_text() for t in axes.get_yticklabels()] == shown.queries == ["가", "나"]
    panels = draw_heads(maps).axes
    assert len(panels) == 4
    for panel, (layer, head) in zip(panels, np.ndindex(2, 2), strict=True):
        assert np.array_equal(np.asarray(panel.images[0].get_array()), maps.cross[layer, head])
    for panel, weights in zip(draw_heads(maps, "decoder_self", 1).axes, maps.decoder_self[1], strict=True):
        assert np.array_equal(np.asarray(panel.images[0].get_array()), weights)
    three = [maps.encoder_self[0, 1], maps.decoder_self[0, 1], maps.cross[0, 1]]
    for panel, weights in zip(draw_three(maps, 0, 1).axes, three, strict=True):
        assert np.array_equal(np.asarray(panel.images[0].get_array()), weights)


def test_pictures_grow_with_the_sentence() -> None:
    short, long = (
        {"head": draw_head(maps, 0, 0), "heads": draw_heads(maps, layer=0)}
        for maps in (made_up(["가"] * n, ["a"] * n, "a") for n in (12, 40))
    )
    for name in short:
        assert all(long[name].get_size_inches() > 1.5 * short[name].get_size_inches())
        sizes = [
            {t.get_fontsize() for axes in f[name].axes for t in axes.get_xticklabels()} for f in (short, long)
        ]
        assert sizes[0] == sizes[1]
    assert short["head"].axes[0].texts and not long["head"].axes[0].texts


def test_a_sentence_of_marks_alone_is_drawn(tmp_path: Path) -> None:
    for name, figure in figures_of(made_up([], [], "")).items():
        save(figure, tmp_path / f"{name}.png")


def test_the_korean_of_a_pdf_can_be_searched(toy: Translator, tmp_path: Path) -> None:
    maps = toy.attention(TEXT, "저는 뷁 사과를 좋아해요.")
    save(draw_words(maps, 0, 0), tmp_path / "x.pdf")
    text = PdfReader(tmp_path / "x.pdf").pages[0].extract_text()
    assert all(word in text for word in ("저는", "뷁", "사과를", "좋아해요"))


@given(st.text())
def test_a_label_has_only_what_the_font_has(text: str) -> None:
    from matplotlib.font_manager import get_font

    characters = get_font(str(FONT)).get_charmap()
    drawn = label(text)
    assert all(ord(c) in characters for c in drawn)
    assert bool(drawn) == bool(text)


def test_the_same_maps_give_the_same_bytes(tmp_path: Path) -> None:
    maps = made_up(["▁가", "나"], ["▁a", "b"], "a b")
    for suffix in ("png", "svg", "pdf"):
        drawn = list(figures_of(maps).values())
        for folder in ("a", "b"):
            for number, figure in enumerate(drawn):
                save(figure, tmp_path / folder / f"{number}.{suffix}")
            drawn = list(figures_of(maps).values())
        for number in range(len(drawn)):
            first, second = ((tmp_path / folder / f"{number}.{suffix}").read_bytes() for folder in ("a", "b"))
            assert first == second


def test_drawing_changes_nothing_for_others(tmp_path: Path) -> None:
    # To read the setting "backend" would itself import pyplot.
    names = [name for name in matplotlib.rcParams if name != "backend"]
    before = [copy.deepcopy(matplotlib.rcParams[name]) for name in names]
    for figure in figures_of(made_up(["가"], ["a"], "a")).values():
        save(figure, tmp_path / "x.pdf")
    assert [matplotlib.rcParams[name] for name in names] == before
    assert "matplotlib.pyplot" not in sys.modules


def test_curves(tmp_path: Path) -> None:
    curves = {"step": [0.0, 10.0], "error_rate": [80.0, 9.0], "entropy": [2.0, 0.3], "mark_share": [0.0, 0.1]}
    figure = draw_alignment(curves)
    for axes, name in zip(figure.axes, ("error_rate", "entropy", "mark_share"), strict=True):
        [line] = axes.get_lines()
        assert np.array_equal(line.get_xydata(), np.transpose([curves["step"], curves[name]]))
    save(figure, tmp_path / "x.png")

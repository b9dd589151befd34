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

from tests.toy import ToyRun
from translator.inspection.figures import FONT, draw_head, draw_heads, label, save
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
        words = [Word(piece, (0, 0), [i]) for i, piece in enumerate(pieces)]
        return Sentence(text, [9] * n, pieces, [(0, 0)] * n, words)

    S, T = len(source) + 1, len(target) + 1
    arrays = {f"encoder_self.{kind}": weights(2, 2, S, S) for kind in ("weights", "norms")}
    arrays |= {f"decoder_self.{kind}": weights(2, 2, T, T) for kind in ("weights", "norms")}
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


def test_every_label_is_drawn(tmp_path: Path) -> None:
    maps = made_up(ODD, ODD[::-1], "$a_1$ 뷁ㅋㅋ漢🙂▁ \\frac ^\n\t x$")
    for name, figure in (("head", draw_head(maps, 1, 0)), ("heads", draw_heads(maps))):
        for suffix in ("png", "svg"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                save(figure, tmp_path / f"{name}.{suffix}")
        texts = [t.get_text() for axes in figure.axes for t in (*axes.get_xticklabels(), *axes.get_yticklabels())]
        for piece in ODD:
            assert any(label(piece) in text for text in texts), piece
        fonts = {t.get_fontname() for axes in figure.axes for t in axes.get_xticklabels()}
        assert len(fonts) == 1


def test_the_pictures_hold_the_weights() -> None:
    maps = made_up(["가", "나"], ["a", "b", "c"], "a b c")
    [axes] = [axes for axes in draw_head(maps, 1, 0).axes if axes.images]
    assert np.array_equal(np.asarray(axes.images[0].get_array()), maps.cross[1, 0])
    assert axes.images[0].get_clim() == (0, 1)
    assert [t.get_text() for t in axes.get_xticklabels()] == maps.source.pieces
    assert [t.get_text() for t in axes.texts] == [f"{w:.2f}" for w in maps.cross[1, 0].flatten()]
    panels = [axes for axes in draw_heads(maps).axes if axes.images]
    assert len(panels) == 4
    for panel, (layer, head) in zip(panels, np.ndindex(2, 2), strict=True):
        assert np.array_equal(np.asarray(panel.images[0].get_array()), maps.cross[layer, head])


@given(st.text())
def test_a_label_has_only_what_the_font_has(text: str) -> None:
    from matplotlib.font_manager import get_font

    characters = get_font(str(FONT)).get_charmap()
    drawn = label(text)
    assert all(ord(c) in characters for c in drawn)
    assert bool(drawn) == bool(text)


def test_the_same_maps_give_the_same_bytes(toy: Translator, tmp_path: Path) -> None:
    maps = toy.attention(TEXT)
    for suffix in ("png", "svg"):
        for folder in ("a", "b"):
            save(draw_head(maps, 0, 1), tmp_path / folder / f"head.{suffix}")
            save(draw_heads(maps), tmp_path / folder / f"heads.{suffix}")
        for name in ("head", "heads"):
            first, second = ((tmp_path / folder / f"{name}.{suffix}").read_bytes() for folder in ("a", "b"))
            assert first == second


def test_drawing_changes_nothing_for_others(tmp_path: Path) -> None:
    # To read the setting "backend" would itself import pyplot.
    names = [name for name in matplotlib.rcParams if name != "backend"]
    before = [copy.deepcopy(matplotlib.rcParams[name]) for name in names]
    maps = made_up(["가"], ["a"], "a")
    for figure in (draw_head(maps, 0, 0), draw_heads(maps)):
        save(figure, tmp_path / "x.svg")
    assert [matplotlib.rcParams[name] for name in names] == before
    assert "matplotlib.pyplot" not in sys.modules

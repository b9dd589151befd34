"""Attention maps are what the decoder saw, and pictures show them whole."""

from __future__ import annotations

import copy
import json
import sys
import warnings
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toy import ToyRun, tiny_model
from translator.attention import capture
from translator.decoding import Search, decode_all
from translator.errors import UserError
from translator.inspection.figures import FONT, draw_head, draw_heads, label, save
from translator.inspection.maps import AttentionMaps, Weights
from translator.translate import Translator

TEXT = "Minsu doesn't look for flowers."


@pytest.fixture(scope="module")
def toy(toy_run: ToyRun) -> Translator:
    """The toy run as a translator."""
    return Translator.load(toy_run.path)


@pytest.mark.parametrize(
    ("text", "target", "beam"),
    [
        (TEXT, None, 1),
        (TEXT, None, 3),
        (TEXT, "저는 뷁 ㅋㅋ", 1),
        (TEXT, "", 1),
        ("漢 🙂", None, 1),
        ("I", None, 1),
    ],
)
def test_maps(toy: Translator, text: str, target: str | None, beam: int) -> None:
    maps = toy.attention(text, target, beam)
    S, T = len(maps.source), len(maps.target_in)
    assert maps.encoder_self.shape == (1, 2, S, S)
    assert maps.decoder_self.shape == (2, 2, T, T)
    assert maps.cross.shape == (2, 2, T, S)
    assert maps.logprobs.shape == (T,) and (maps.logprobs <= 0).all()
    for weights in (maps.encoder_self, maps.decoder_self, maps.cross):
        assert weights.dtype == np.float32 and (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    assert (maps.decoder_self[..., ~np.tri(T, dtype=bool)] == 0).all()

    assert maps.source[-1] == maps.target_out[-1] == "</s>" and maps.target_in[0] == "<s>"
    assert maps.target_in[1:] == maps.target_out[:-1]
    assert maps.source_text == text
    assert maps.target_text == (toy.translate([text], beam)[0] if target is None else target)


def test_the_maps_are_of_the_translation_that_the_translator_gives(toy: Translator) -> None:
    differ = 0
    for seed in range(4):  # untrained models, whose searches differ
        model = tiny_model(toy.english.size, toy.korean.size, seed)
        untrained = Translator(model, toy.english, toy.korean, set())
        found = [untrained.hypotheses([TEXT], Search(beam=beam))[0][0] for beam in (1, 3)]
        differ += found[0].ids != found[1].ids
        for beam, hypothesis in zip((1, 3), found, strict=True):
            maps = untrained.attention(TEXT, beam=beam)
            end = ["</s>"] if hypothesis.finished else []  # none where the length limit cut it
            assert maps.target_out == toy.korean.pieces(hypothesis.ids) + end
            assert maps.target_in[1:] == maps.target_out[:-1]
            assert maps.cross.shape[2] == len(maps.target_in) == len(maps.target_out)
    assert differ


def test_logprobs_are_the_decoders(toy: Translator) -> None:
    [found] = toy.hypotheses([TEXT])
    assert toy.attention(TEXT).logprobs.sum() == pytest.approx(found[0].logprob, abs=1e-4)


@pytest.mark.parametrize("text", [TEXT, "I like milk.", "🙂"])
def test_one_pass_sees_what_the_decoder_saw_step_by_step(toy: Translator, text: str) -> None:
    maps = toy.attention(text)
    with capture(toy.model) as captured:
        list(decode_all(toy.model, [toy.english.encode(text)]))
    for layer in range(2):
        own = captured[f"decoder.{layer}.self_attention"]
        across = captured[f"decoder.{layer}.cross_attention"]
        assert len(own) == len(across) >= len(maps.target_in) - 1
        for t, (step, look) in enumerate(zip(own, across, strict=True)):
            assert step.weights.shape == (1, 2, 1, t + 1)
            np.testing.assert_allclose(step.weights[0, :, 0], maps.decoder_self[layer, :, t, : t + 1], atol=1e-5)
            np.testing.assert_allclose(look.weights[0, :, 0], maps.cross[layer, :, t], atol=1e-5)
    np.testing.assert_allclose(captured["encoder.0.self_attention"][0].weights[0], maps.encoder_self[0], atol=1e-5)


def test_maps_come_back_equal(toy: Translator, tmp_path: Path) -> None:
    maps = toy.attention(TEXT, "저는 뷁🙂")
    files = maps.save(tmp_path / "new", "x")
    assert [f.name for f in files] == ["x.attn.json", "x.attn.npz"]
    loaded = AttentionMaps.load(files[0])
    for name, value in vars(maps).items():
        if isinstance(value, np.ndarray):
            assert np.array_equal(getattr(loaded, name), value) and getattr(loaded, name).dtype == np.float32
        else:
            assert getattr(loaded, name) == value
    with np.load(files[1], allow_pickle=False) as arrays:
        labels = json.loads(files[0].read_text(encoding="utf-8"))
        assert set(arrays) == set(labels["axes"])
        assert all(arrays[name].ndim == len(axes) for name, axes in labels["axes"].items())
    labels["schema"] = 99
    files[0].write_text(json.dumps(labels), encoding="utf-8")
    with pytest.raises(UserError, match="another version"):
        AttentionMaps.load(files[0])


def made_up(target: list[str], source: list[str], text: str) -> AttentionMaps:
    """Maps of any pieces: two layers, two heads."""
    generator = np.random.default_rng(0)

    def weights(*shape: int) -> Weights:
        w: Weights = generator.random(shape, dtype=np.float32)
        w /= w.sum(-1, keepdims=True)
        return w

    S, T = len(source) + 1, len(target) + 1
    return AttentionMaps(
        text, text, [*source, "</s>"], ["<s>", *target], [*target, "</s>"],
        weights(T), weights(2, 2, S, S), weights(2, 2, T, T), weights(2, 2, T, S),
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
    assert [t.get_text() for t in axes.get_xticklabels()] == maps.source
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

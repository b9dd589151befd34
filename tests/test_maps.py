"""Attention maps are what the decoder saw, and come back from disk as they were."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

from tests.toy import ToyRun, tiny_model
from translator.attention import capture
from translator.decoding import Search, decode_all
from translator.errors import UserError
from translator.inspection import measures
from translator.inspection.bundle import SCHEMA
from translator.inspection.maps import KINDS, AttentionMaps, attention_layers
from translator.scoring import AligningHead
from translator.tokenizer import EOS
from translator.translate import Translator

TEXT = "Minsu doesn't look for flowers."


@pytest.fixture(scope="module")
def toy(toy_run: ToyRun) -> Translator:
    """The toy run as a translator."""
    return Translator.load(toy_run.path)


CASES = [
    (TEXT, None, 1),
    (TEXT, None, 3),
    (TEXT, "저는 뷁 ㅋㅋ", 1),
    (TEXT, "", 1),
    ("漢 🙂", None, 1),
    ("I", None, 1),
]


@pytest.mark.parametrize(("text", "target", "beam"), CASES)
def test_maps(toy: Translator, text: str, target: str | None, beam: int) -> None:
    maps = toy.attention(text, target, beam)
    S, T = len(maps.source.ids), len(maps.reads)
    assert maps.encoder_self.shape == (1, 2, S, S)
    assert maps.decoder_self.shape == (2, 2, T, T)
    assert maps.cross.shape == (2, 2, T, S)
    assert maps.logprobs.shape == (T,) and (maps.logprobs <= 0).all()
    for weights in (maps.encoder_self, maps.decoder_self, maps.cross):
        assert weights.dtype == np.float32 and (weights >= 0).all()
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-6)
    assert (maps.decoder_self[..., ~np.tri(T, dtype=bool)] == 0).all()

    assert maps.source.pieces[-1] == maps.predicts[-1] == "</s>" and maps.reads[0] == "<s>"
    assert maps.reads[1:] == maps.predicts[:-1]
    assert maps.source.text == text
    assert maps.target.text == (toy.translate([text], beam)[0] if target is None else target)
    assert maps.forced == (target is not None)
    assert maps.best == toy.aligning_head is not None


@pytest.mark.parametrize(("text", "target", "beam"), CASES)
def test_the_arithmetic_can_be_followed_from_the_embedding_to_the_output(
    toy: Translator, text: str, target: str | None, beam: int
) -> None:
    maps = toy.attention(text, target, beam)
    arrays = maps.arrays
    width = maps.model["head_width"]
    for kind in KINDS:
        part = {name.partition(".")[2]: array for name, array in arrays.items() if name.startswith(kind + ".")}
        scores = part["queries"] @ part["keys"].swapaxes(-1, -2) / math.sqrt(width)
        np.testing.assert_allclose(part["scores"], scores, atol=1e-5)
        if kind == "decoder_self":
            scores = np.where(np.tri(scores.shape[-1], dtype=bool), scores, -np.inf)
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        shares /= shares.sum(-1, keepdims=True)
        np.testing.assert_allclose(part["weights"], shares, atol=1e-5)
        np.testing.assert_allclose(part["heads"], part["weights"] @ part["values"], atol=1e-5)
        for index, layer in enumerate(attention_layers(toy.model)[kind]):
            with torch.inference_mode():
                context = arrays["source.states"] if kind == "cross" else part["inputs"][index]
                joined = part["heads"][index].swapaxes(0, 1).reshape(len(part["inputs"][index]), -1)
                outputs = layer.output(torch.from_numpy(joined)).numpy()
                queries = layer.query(torch.from_numpy(part["inputs"][index])).numpy()
                values = layer.value(torch.from_numpy(context)).numpy()
            np.testing.assert_allclose(part["outputs"][index], outputs, atol=1e-5)
            np.testing.assert_allclose(
                part["queries"][index].swapaxes(0, 1).reshape(queries.shape), queries, atol=1e-5
            )
            np.testing.assert_allclose(
                part["values"][index].swapaxes(0, 1).reshape(values.shape), values, atol=1e-5
            )
    with torch.inference_mode():
        read = arrays["source.embedding"] + arrays["source.positions"]
        first = toy.model.get_submodule("encoder.0.residuals.0.norm")(torch.from_numpy(read))
    np.testing.assert_allclose(arrays["encoder_self.inputs"][0], first.numpy(), atol=1e-5)
    assert arrays["target.embedding"].shape == arrays["target.positions"].shape == (len(maps.reads), 32)


def test_the_maps_are_of_the_translation_that_the_translator_gives(toy: Translator) -> None:
    differ = 0
    for seed in range(4):  # untrained models, whose searches differ
        model = tiny_model(toy.english.size, toy.korean.size, seed)
        untrained = Translator(model, toy.english, toy.korean, set())
        found = [untrained.hypotheses([TEXT], Search(beam=beam))[0][0] for beam in (1, 3)]
        differ += found[0].ids != found[1].ids
        for beam, hypothesis in zip((1, 3), found, strict=True):
            maps = untrained.attention(TEXT, beam=beam, details=False)
            end = [EOS] if hypothesis.finished else []  # none where the length limit cut it
            assert maps.target.ids[1:] == hypothesis.ids + end
            assert maps.cross.shape[2] == len(maps.reads) == len(maps.predicts)
            assert maps.logprobs.sum() == pytest.approx(hypothesis.logprob, abs=1e-4)
    assert differ


@pytest.mark.parametrize("text", [TEXT, "I like milk.", "🙂"])
def test_one_pass_sees_what_greedy_search_saw_step_by_step(toy: Translator, text: str) -> None:
    maps = toy.attention(text)
    with capture(toy.model) as captured:
        list(decode_all(toy.model, [toy.english.encode(text)]))
    for layer in range(2):
        own = captured[f"decoder.{layer}.self_attention"]
        across = captured[f"decoder.{layer}.cross_attention"]
        assert len(own) == len(across) >= len(maps.reads) - 1
        for t, (step, look) in enumerate(zip(own, across, strict=True)):
            assert step.weights.shape == (1, 2, 1, t + 1)
            np.testing.assert_allclose(step.weights[0, :, 0], maps.decoder_self[layer, :, t, : t + 1], atol=1e-5)
            np.testing.assert_allclose(look.weights[0, :, 0], maps.cross[layer, :, t], atol=1e-5)
    np.testing.assert_allclose(captured["encoder.0.self_attention"][0].weights[0], maps.encoder_self[0], atol=1e-5)


@pytest.mark.parametrize("text", [TEXT, "I like milk."])
def test_one_pass_sees_what_beam_search_saw(toy: Translator, text: str) -> None:
    maps = toy.attention(text, beam=3)
    with capture(toy.model) as captured:
        list(decode_all(toy.model, [toy.english.encode(text)], Search(beam=3)))
    for layer in range(2):
        # A step's rows are the live hypotheses, each of which sees its own pieces among all; the one that won is
        # among them until it ends.
        for t, seen in enumerate(captured[f"decoder.{layer}.self_attention"][: len(maps.reads)]):
            hypotheses = seen.weights.size(2)
            own = torch.ones(hypotheses, t + 1, dtype=torch.bool) if seen.mask is None else seen.mask[0, 0]
            rows = [seen.weights[0, :, k, own[k]].numpy() for k in range(hypotheses)]  # K of H t+1
            gaps = [abs(row - maps.decoder_self[layer, :, t, : t + 1]).max() for row in rows]
            winner = int(np.argmin(gaps))
            assert gaps[winner] < 1e-5
            across = captured[f"decoder.{layer}.cross_attention"][t].weights[0, :, winner]
            np.testing.assert_allclose(across, maps.cross[layer, :, t], atol=1e-5)


def test_maps_come_back_equal(toy: Translator, tmp_path: Path) -> None:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    for target, details in (("저는 뷁🙂", True), (None, False)):
        maps = toy.attention(TEXT, target, details=details)
        files = maps.save(tmp_path / "new", "x")
        assert [f.name for f in files] == ["x.attn.json", "x.attn.npz"]
        manifest = json.loads(files[0].read_text(encoding="utf-8"))
        validator.validate(manifest)
        loaded = AttentionMaps.load(files[0])
        with np.load(files[1], allow_pickle=False) as arrays:
            assert set(arrays) == set(manifest["arrays"]) == set(maps.arrays)
            for name, axes in manifest["arrays"].items():
                assert arrays[name].dtype == np.float32 and arrays[name].ndim == len(axes)
                assert np.array_equal(loaded.arrays.pop(name), maps.arrays[name])
        loaded.arrays = maps.arrays
        assert loaded == maps


def test_axes_are_named_rightly(toy: Translator) -> None:
    maps = toy.attention(TEXT)
    sizes = {
        "source": len(maps.source.ids),
        "step": len(maps.reads),
        "source word": len(maps.source.words),
        "head": 2,
        "width": 32,
        "head width": 16,
    }
    for name, axes in maps.manifest()["arrays"].items():
        layer = 1 if name.startswith("encoder") else 2
        assert maps.arrays[name].shape == tuple((sizes | {"layer": layer})[axis] for axis in axes), name


def test_files_that_are_no_maps(toy: Translator, tmp_path: Path) -> None:
    manifest, arrays = toy.attention("I like milk.", details=False).save(tmp_path, "x")
    labels = manifest.read_text(encoding="utf-8")
    for content, message in (
        (labels.replace('"schema": 2', '"schema": 99'), "another version"),
        ("{}", "not a file of attention maps"),
        ("[1]", "not a file of attention maps"),
        ("x", "not a file of attention maps"),
    ):
        manifest.write_text(content, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            AttentionMaps.load(manifest)
    manifest.write_text(labels, encoding="utf-8")
    arrays.write_bytes(b"PK")
    with pytest.raises(UserError, match=r"x\.attn\.npz: cannot be read"):
        AttentionMaps.load(manifest)
    arrays.unlink()
    with pytest.raises(UserError, match=r"x\.attn\.npz: cannot be read"):
        AttentionMaps.load(manifest)
    with pytest.raises(UserError, match="no such file"):
        AttentionMaps.load(tmp_path / "absent.attn.json")


def test_a_notebook_shows_a_table_with_the_text_as_text(toy: Translator) -> None:
    maps = toy.attention("<img src=x> milk", "<b>&</b>")
    maps.best = AligningHead(1, 0)
    found: list[str] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: found.append(tag)  # type: ignore[method-assign]
    html = maps._repr_html_()
    parser.feed(html)
    assert set(found) == {"table", "caption", "br", "tr", "th", "td"}
    assert re.findall(r'title="([^"]+)"', html) == [f"{w:.4f}" for w in maps.cross[1, 0].flatten()]


def test_nothing_to_look_at(toy: Translator) -> None:
    with pytest.raises(UserError, match="no text"):
        toy.attention("\u200b ")


def test_what_stands_beside_the_maps_is_of_these_maps(toy: Translator) -> None:
    maps = toy.attention(TEXT)
    pair = maps.source.ids, maps.target.ids[:-1], maps.target.ids[1:]
    places = [word.pieces for word in maps.source.words]
    np.testing.assert_allclose(maps.arrays["occlusion"], measures.occlusion(toy.model, pair, places), atol=1e-5)
    np.testing.assert_allclose(maps.arrays["encoder_self.rollout"], measures.rollout(maps.encoder_self), atol=1e-6)
    for kind in KINDS:
        mark = maps.arrays[f"{kind}.weights"][..., 0 if kind == "decoder_self" else -1]
        np.testing.assert_allclose(maps.measures[kind]["mark_share"], mark.mean(-1), atol=1e-6)
        ablation = measures.ablation(toy.model, attention_layers(toy.model)[kind], pair)
        np.testing.assert_allclose(maps.measures[kind]["ablation"], ablation, atol=1e-5)
        everything, shown = maps.words(kind), maps.words(kind, specials=False)
        queries, keys = maps.units(kind)
        special = [unit.special for unit in keys]
        rows = everything.weights[:, :, [not unit.special for unit in queries]]
        assert any(special) and not everything.hidden.any()
        np.testing.assert_allclose(shown.hidden, rows[..., special].sum(-1), atol=1e-6)

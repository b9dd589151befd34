"""What is exported computes the same, whatever the model's switches."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.toy import ToyRun, tiny_model
from translator.config import ModelConfig
from translator.decoding import Search, forced_logprobs
from translator.errors import UserError
from translator.export import ExportedModel, export
from translator.tokenizer import Tokenizer
from translator.translate import Translator

ctranslate2 = pytest.importorskip("ctranslate2")
SIZES = ModelConfig(width=16, heads=2, encoder_layers=1, decoder_layers=2, feed_forward=24, dropout=0.0)
TEXTS = ["I like apples.", "", "They don't look for flowers.", "Jimin sells milk.", "🙂"]


@pytest.mark.parametrize(
    "switch",
    [
        {},
        {"norm": "post"},
        {"activation": "gelu"},
        {"tie_embeddings": False},
        {"heads": 4},
        {"position_scale": 4.0},
        {"encoder_layers": 3, "decoder_layers": 1},
    ],
    ids=str,
)
def test_the_same_log_probabilities(
    switch: dict[str, Any], tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path
) -> None:
    english, korean = tokenizers
    model = tiny_model(english.size, korean.size, **switch)
    export(model, replace(SIZES, **switch), english, korean, tmp_path)
    ids = [
        (english.encode("I like milk. " * n), korean.encode("저는 우유를 좋아해요. 🙂" * n)) for n in (1, 2, 30)
    ]
    expected = dict(forced_logprobs(model, ids))
    engine = ctranslate2.Translator(str(tmp_path), compute_type="float32")
    found = engine.score_batch([english.pieces(s) for s, _ in ids], [korean.pieces(t) for _, t in ids])
    for i, result in enumerate(found):
        assert result.log_probs == pytest.approx(expected[i], abs=1e-4)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_the_same_searches(norm: Any, tokenizers: tuple[Tokenizer, Tokenizer], tmp_path: Path) -> None:
    """Greedily the same pieces, in a beam the same scores for the same hypotheses; forced and limited alike."""
    english, korean = tokenizers
    model = tiny_model(english.size, korean.size, norm=norm)
    export(model, replace(SIZES, norm=norm), english, korean, tmp_path)
    plain = Translator(model, english, korean, set())
    fast = Translator(model, english, korean, set(), exported=ExportedModel(tmp_path, "float32"))
    for search in (Search(), Search(min_length=5, max_length=7)):
        for [a], [b] in zip(plain.hypotheses(TEXTS, search), fast.hypotheses(TEXTS, search), strict=True):
            assert (a.ids, a.finished) == (b.ids, b.finished)
            # CTranslate2 takes the end mark out before the softmax, not after it, where it may not come yet.
            assert search.min_length or a.score == pytest.approx(b.score, abs=1e-4)
    for text, found in zip(TEXTS, fast.hypotheses(TEXTS, Search(beam=4)), strict=True):
        whole = [h for h in found if h.finished and h.ids]
        scores = forced_logprobs(model, [(english.encode(text), h.ids) for h in whole])
        assert all(sum(figures) == pytest.approx(whole[i].logprob, abs=1e-3) for i, figures in scores)
        assert [h.score for h in whole] == sorted((h.score for h in whole), reverse=True)
    assert fast.exported is not None
    prefix = korean.encode("민수는")
    [(_, [forced])] = fast.exported.decode_all([english.encode(TEXTS[0])], prefixes=[prefix])
    assert forced.ids[: len(prefix)] == prefix
    with pytest.raises(UserError, match="torch engine"):
        fast.hypotheses(TEXTS, Search(temperature=1.0))


def test_a_run_is_exported_once_and_again_when_its_weights_change(toy_run: ToyRun, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(toy_run.path, run, ignore=shutil.ignore_patterns("checkpoints", "tensorboard"))
    texts = [english for english, _ in toy_run.pairs[::9]]
    plain, fast = Translator.load(run), Translator.load(run, engine="ctranslate2")
    same = [a == b for a, b in zip(plain.translate(texts), fast.translate(texts), strict=True)]
    assert sum(same) >= 0.9 * len(texts)  # int8 rounds
    exact = Translator.load(run, engine="ctranslate2", precision="float32")
    assert exact.translate(texts) == plain.translate(texts)

    [written] = (run / "export").iterdir()
    before = (written / "model.bin").stat().st_mtime_ns
    Translator.load(run, engine="ctranslate2")
    assert (written / "model.bin").stat().st_mtime_ns == before
    shutil.copy(sorted((run / "snapshots").iterdir())[0], run / "best" / "model.safetensors")
    changed = Translator.load(run, engine="ctranslate2", precision="float32")
    assert changed.translate(texts) == Translator.load(run).translate(texts) != plain.translate(texts)
    [anew] = (run / "export").iterdir()
    assert anew != written


def test_without_ctranslate2(toy_run: ToyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(UserError, match="pip install"):
        Translator.load(toy_run.path, engine="ctranslate2")


def test_a_precision_that_the_processor_has_not(tmp_path: Path, toy_run: ToyRun) -> None:
    with pytest.raises(UserError, match="no int4 on this processor"):
        ExportedModel(_exported(toy_run, tmp_path), "int4")


def _exported(toy_run: ToyRun, path: Path) -> Path:
    toy = Translator.load(toy_run.path)
    config = ModelConfig(width=32, heads=2, encoder_layers=1, decoder_layers=2, feed_forward=64)
    export(toy.model, config, toy.english, toy.korean, path, "int8")
    assert {file.name for file in path.iterdir()} >= {"model.bin", "en.model", "ko.model"}
    assert torch.is_inference_mode_enabled() is False
    return path

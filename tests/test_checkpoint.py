"""The run directory: whole files only, and never another run's."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from translator.checkpoint import RunDirectory
from translator.config import Config, ModelConfig, TokenizerConfig
from translator.errors import UserError
from translator.model import Transformer
from translator.tokenizer import Tokenizer


@pytest.fixture
def run(tmp_path: Path, tokenizers: tuple[Tokenizer, Tokenizer]) -> RunDirectory:
    """A run that holds a configuration and tokenizers."""
    run = RunDirectory(tmp_path / "run")
    run.save_config(Config(run_dir=str(run.path), model=ModelConfig(16, 2, 1, 1, 16)))
    for language, tokenizer in zip(("en", "ko"), tokenizers, strict=True):
        run.save_tokenizer(language, tokenizer)
    return run


def model_of(run: RunDirectory, **changes: object) -> Transformer:
    config = ModelConfig(16, 2, 1, 1, 16, **changes)  # type: ignore[arg-type]
    return Transformer(config, run.tokenizer("en").size, run.tokenizer("ko").size)


def test_a_folder_that_holds_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run here"):
        RunDirectory.open(tmp_path)
    with pytest.raises(UserError, match="no run here"):
        RunDirectory.open(tmp_path / "absent")


@pytest.mark.parametrize("tied", [True, False])
def test_weights_come_back_equal(tied: bool, run: RunDirectory) -> None:
    run.save_config(Config(run_dir=str(run.path), model=ModelConfig(16, 2, 1, 1, 16, tie_embeddings=tied)))
    model = model_of(run, tie_embeddings=tied)
    run.save_weights("best/model", model, {"step": "7"})
    loaded = run.load_model()
    assert not loaded.training
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for key, weight in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], weight), key
    assert (loaded.output.weight is loaded.target_embedding.tokens.weight) == tied
    assert run.header()["step"] == "7"
    assert run.header()["ko_tokenizer"] == run.tokenizer("ko").fingerprint


def test_weights_of_another_tokenizer_are_refused(run: RunDirectory) -> None:
    run.save_weights("best/model", model_of(run), {})
    before = run.tokenizer("ko").fingerprint
    run.save_tokenizer("ko", Tokenizer.train(["다른 문장", "다른 말뭉치"], 300, TokenizerConfig()))
    now = run.tokenizer("ko").fingerprint
    with pytest.raises(UserError, match=rf"another ko tokenizer \({before}\) than the run's \({now}\)"):
        run.load_model()


def test_weights_of_another_shape_are_refused(run: RunDirectory) -> None:
    run.save_weights("best/model", model_of(run, norm="post"), {})
    with pytest.raises(UserError, match=r"does not fit.*config\.yaml"):
        run.load_model()


def test_weights_of_another_width_are_refused(run: RunDirectory) -> None:
    wide = Transformer(ModelConfig(32, 2, 1, 1, 16), run.tokenizer("en").size, run.tokenizer("ko").size)
    run.save_weights("best/model", wide, {})
    with pytest.raises(UserError, match=r"does not fit.*config\.yaml"):
        run.load_model()


def test_weights_that_are_absent_or_damaged(run: RunDirectory) -> None:
    with pytest.raises(UserError, match="no weights here yet"):
        run.load_model()
    run.save_weights("best/model", model_of(run), {})
    path = run.path / "best" / "model.safetensors"
    data = path.read_bytes()
    for damaged in (b"", b"junk", data[: len(data) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged") as error:
            run.load_model()
        assert str(path) in str(error.value) and "\n" not in str(error.value)


def state(step: int) -> dict[str, Any]:
    return {"progress": {"step": step}, "model": {"w": torch.randn(300, 30)}, "random": [torch.get_rng_state()]}


def kept(run: RunDirectory) -> list[int]:
    return [int(path.name.split("-")[1]) for path in sorted((run.path / "checkpoints").iterdir())]


def test_the_last_two_checkpoints_are_kept(run: RunDirectory) -> None:
    assert run.load_checkpoint() is None
    for step in (3, 999, 1000, 20_000):
        saved = state(step)
        run.save_checkpoint(step, saved)
        torch.testing.assert_close(run.load_checkpoint(), saved, rtol=0, atol=0)
    assert kept(run) == [1000, 20_000]
    run.save_checkpoint(20_000, state(20_000))
    assert kept(run) == [1000, 20_000]
    run.save_checkpoint(1500, state(1500))  # resumed from 1000, for 20,000 was damaged
    assert kept(run) == [1000, 1500]


@given(st.data())
def test_a_checkpoint_with_any_byte_changed_or_missing_is_passed_over(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    run = RunDirectory(tmp_path_factory.getbasetemp() / "checkpoints-damaged")
    torch.manual_seed(0)
    run.save_checkpoint(1, state(1))
    run.save_checkpoint(2, state(2))
    newest = max((run.path / "checkpoints").iterdir())
    content = bytearray(newest.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= data.draw(st.integers(1, 255))
    else:
        content = content[:place]
    newest.write_bytes(content)
    found = run.load_checkpoint()
    assert found is not None and found["progress"]["step"] == 1


def test_no_checkpoint_is_whole(run: RunDirectory, capsys: pytest.CaptureFixture[str]) -> None:
    for step in (1, 2):
        run.save_checkpoint(step, state(step))
    for path in (run.path / "checkpoints").iterdir():
        path.write_bytes(b"junk")
    with pytest.raises(UserError, match=r"checkpoints: none is whole; delete this folder"):
        run.load_checkpoint()
    assert capsys.readouterr().err.count("is damaged") == 2


def test_a_checkpoint_is_data_not_code(run: RunDirectory) -> None:
    run.save_checkpoint(1, {"code": Path("x")})  # an object that unpickling would have to build
    with pytest.raises(pickle.UnpicklingError):
        run.load_checkpoint()


def test_a_lock_is_held_by_one(run: RunDirectory) -> None:
    with run.locked(), pytest.raises(UserError, match="another process"), RunDirectory(run.path).locked():
        pass
    with run.locked():
        pass


@given(st.lists(st.integers(1, 50), max_size=9), st.integers(0, 50), st.sampled_from(["", "{", '{"step": 1']))
def test_cut_log_takes_out_what_is_later_or_torn(
    tmp_path_factory: pytest.TempPathFactory, steps: list[int], last: int, torn: str
) -> None:
    run = RunDirectory(tmp_path_factory.getbasetemp() / "log")
    run.cut_log(last)  # nothing there is no mistake
    path = run.path / "metrics.jsonl"
    for step in steps:
        run.log({"step": step, "loss": 1.5})
    if path.is_file():
        with open(path, "a", encoding="utf-8") as file:
            file.write(torn)
        run.cut_log(last)
        kept = [json.loads(line)["step"] for line in path.read_text(encoding="utf-8").splitlines()]
        assert kept == [step for step in steps if step <= last]
        path.unlink()


@given(st.sets(st.text(st.characters(categories=["L", "P", "N"]), min_size=1)))
def test_known_words_come_back_equal(tmp_path_factory: pytest.TempPathFactory, words: set[str]) -> None:
    run = RunDirectory(tmp_path_factory.getbasetemp() / "words")
    run.save_known_words(words)
    assert run.known_words() == words


def test_report_comes_back_equal(run: RunDirectory) -> None:
    assert run.report() == {}
    run.save_report({"train": 3, "dropped": {"한국": 1}})
    assert run.report() == {"train": 3, "dropped": {"한국": 1}}

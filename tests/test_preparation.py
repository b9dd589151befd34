"""A run's data, tokenizers and model stay what they were when it was begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.toy import small_config, toy_pairs, write_pairs
from translator.checkpoint import RunDirectory
from translator.config import Config
from translator.errors import UserError
from translator.preparation import prepare
from translator.tokenizer import split_words


@pytest.fixture
def prepared(tmp_path: Path) -> tuple[Path, Config, RunDirectory]:
    """A prepared run, its configuration, and the folder of both."""
    config = small_config(tmp_path)
    run = RunDirectory(config.run_dir)
    prepare(config, run)
    return tmp_path, config, run


def files(run: RunDirectory) -> dict[str, tuple[bytes, int]]:
    return {
        str(p.relative_to(run.path)): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in sorted(run.path.rglob("*"))
        if p.is_file()
    }


def test_what_is_written(prepared: tuple[Path, Config, RunDirectory]) -> None:
    _, config, run = prepared
    assert set(files(run)) == {
        "config.yaml", "corpus.json", "tokenizer/en.model", "tokenizer/ko.model", "tokenizer/en.words",
    }  # fmt: skip
    assert run.config() == config
    corpus, _ = prepare(config, run)
    assert run.report() == corpus.report
    assert run.known_words() == {word.lower() for english, _ in corpus.train for word in split_words(english)}
    assert "apples" in run.known_words() and "minsu" in run.known_words()


def test_preparing_again_leaves_the_tokenizers_untouched(prepared: tuple[Path, Config, RunDirectory]) -> None:
    _, config, run = prepared
    before = files(run)
    prepare(config, run)
    after = files(run)
    assert {k: data for k, (data, _) in after.items()} == {k: data for k, (data, _) in before.items()}
    for name in before:
        if name.startswith("tokenizer/"):
            assert after[name] == before[name]


def test_half_prepared_tokenizers_are_made_again(prepared: tuple[Path, Config, RunDirectory]) -> None:
    _, config, run = prepared
    wanted = {name: data for name, (data, _) in files(run).items()}
    (run.path / "tokenizer" / "en.words").unlink()
    (run.path / "tokenizer" / "ko.model").write_bytes(b"half")
    prepare(config, run)
    assert {name: data for name, (data, _) in files(run).items()} == wanted


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("seed=4", "seed=3"),
        ("model.width=32", "model.width=16"),
        ("model.norm=post", "model.norm=pre"),
        ("model.dropout=0.2", "model.dropout=0.1"),
        ("tokenizer.type=bpe", "tokenizer.type=unigram"),
        ("tokenizer.english_size=341", "tokenizer.english_size=340"),
        ("train.batch_tokens=99", "train.batch_tokens=256"),
        ("train.optimizer=muon", "train.optimizer=adamw"),
        ("validation.metric=loss", "validation.metric=chrf"),
    ],
)
def test_a_changed_setting_is_refused_by_name(
    setting: str, name: str, prepared: tuple[Path, Config, RunDirectory]
) -> None:
    folder, _, run = prepared
    before = files(run)
    with pytest.raises(UserError, match="run_dir=") as error:
        prepare(small_config(folder, setting), run)
    assert name in str(error.value) and f"now it is {setting.partition('=')[2]}" in str(error.value)
    assert files(run) == before


@pytest.mark.parametrize("setting", ["train.max_steps=7", "train.learning_rate=0.5", "validation.every_steps=3"])
def test_other_settings_may_change(setting: str, prepared: tuple[Path, Config, RunDirectory]) -> None:
    folder, before, run = prepared
    prepare(small_config(folder, setting), run)
    assert run.config() == before  # until training goes on with them


def test_changed_data_are_refused(prepared: tuple[Path, Config, RunDirectory]) -> None:
    folder, config, run = prepared
    before = files(run)
    write_pairs(folder / "pairs.tsv", toy_pairs()[1:])
    with pytest.raises(UserError, match="other training pairs"):
        prepare(config, run)
    write_pairs(folder / "pairs.tsv", reversed(toy_pairs()))  # the order of the batches would be another
    with pytest.raises(UserError, match="other training pairs"):
        prepare(config, run)
    assert files(run) == before
    write_pairs(folder / "pairs.tsv", toy_pairs())
    prepare(config, run)

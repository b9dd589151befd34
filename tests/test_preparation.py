"""A run's data, tokenizers and model stay what they were when it was begun."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.toy import small_config, toy_pairs, write_pairs
from translator.batching import Examples
from translator.checkpoint import RunDirectory
from translator.config import Config
from translator.corpus import load_corpus
from translator.errors import UserError
from translator.preparation import cache_folder, prepare
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
        ("data.max_pieces=99", "data.max_pieces=256"),
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
    for setting in ("data.cleaning.max_characters=23", "data.validation_share=0.2"):
        with pytest.raises(UserError, match="other training pairs or weights"):
            prepare(small_config(folder, setting), run)
    config.data.sources[0].weight = 2
    with pytest.raises(UserError, match="other training pairs or weights"):
        prepare(config, run)


def test_the_ids_are_those_of_the_training_pairs(prepared: tuple[Path, Config, RunDirectory]) -> None:
    _, config, run = prepared
    corpus, data = prepare(config, run)
    for pair, example in zip(corpus.train, data.examples, strict=True):
        for side, language in enumerate(("en", "ko")):
            assert run.tokenizer(language).encode(pair[side]) == list(example[side])
    assert data.lengths.tolist() == [[len(english), len(korean)] for english, korean in data.examples]
    assert data.weights.tolist() == corpus.weights.tolist() and data.cut_anew is None


def test_pairs_of_too_many_pieces_are_left_out_and_counted(tmp_path: Path) -> None:
    halves = [write_pairs(tmp_path / f"{i}.tsv", toy_pairs()[i::2]) for i in range(2)]
    sources = f"data.sources=[{{path: {halves[0]}, weight: 3}}, {{path: {halves[1]}, weight: 2}}]"
    plain = small_config(tmp_path, sources)
    whole, data = prepare(plain, RunDirectory(plain.run_dir))
    limit = int(np.median(data.lengths.max(axis=1)))
    fits = [i for i in range(len(whole.train)) if data.lengths[i].max() <= limit]
    assert 0 < len(fits) < len(whole.train)

    settings = [sources, f"data.max_pieces={limit}", "tokenizer.sampling=0.2", f"run_dir={tmp_path / 'other'}"]
    config = small_config(tmp_path, *settings)
    run = RunDirectory(config.run_dir)
    corpus, short = prepare(config, run)
    assert len(short.examples) == len(short.lengths) == len(short.weights) == len(fits)
    assert short.weights.tolist() == [whole.weights[i] for i in fits] and set(short.weights) == {2.0, 3.0}
    assert short.cut_anew
    for row, (i, example) in enumerate(zip(fits, short.examples, strict=True)):
        assert [list(side) for side in example] == [list(side) for side in data.examples[i]]
        assert run.tokenizer("ko").decode(list(short.cut_anew(row, 0)[1])) == whole.train[i][1]
    assert run.report()["dropped"] == corpus.report["dropped"]
    assert corpus.report["dropped"][f"over {limit} pieces"] == len(whole.train) - len(fits)
    assert corpus.report["train"] == len(fits)
    before = files(run)
    prepare(config, run)
    assert {k: data for k, (data, _) in files(run).items()} == {k: data for k, (data, _) in before.items()}

    config = small_config(tmp_path, "data.max_pieces=2", f"run_dir={tmp_path / 'none'}")
    with pytest.raises(UserError, match=r"no training pair has 2 pieces or fewer \(data.max_pieces\)"):
        prepare(config, RunDirectory(config.run_dir))


def test_sentences_are_cut_anew_each_epoch_the_same_for_the_same_seed(tmp_path: Path) -> None:
    def cuts(*settings: str, epoch: int) -> list[list[int]]:
        config = small_config(tmp_path, "tokenizer.sampling=0.2", "data.max_pieces=20", *settings)
        run = RunDirectory(config.run_dir)
        _, data = prepare(config, run)
        korean = run.tokenizer("ko")
        rows = list(range(0, len(data.examples), 9))
        batch = data.batch(rows, epoch)
        found = [[i for i in row if i > 3] for row in batch.target_out.tolist()]
        plain = [list(data.examples[i][1]) for i in rows]
        assert [korean.decode(ids) for ids in found] == [korean.decode(ids) for ids in plain]
        assert found != plain
        # Each sentence by itself, whatever else is in the batch.
        assert [[i for i in data.batch([row], epoch).target_out[0].tolist() if i > 3] for row in rows] == found
        return found

    first = cuts(epoch=0)
    assert cuts(epoch=0) == first != cuts(epoch=1)
    assert cuts("seed=9", f"run_dir={tmp_path / 'other'}", epoch=0) != first


def test_what_is_tokenised_is_kept_for_the_same_tokenizers_and_pairs(
    prepared: tuple[Path, Config, RunDirectory], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, config, run = prepared
    cache = cache_folder(config)
    assert sorted(path.name.split("-")[0] for path in cache.iterdir()) == ["corpus", "ids"]
    with monkeypatch.context() as patch:
        patch.setattr(Examples, "write", None)  # not called
        prepare(config, run)
        other = small_config(folder, "model.width=32", f"run_dir={folder / 'other'}")
        prepare(other, RunDirectory(other.run_dir))
    other = small_config(folder, "tokenizer.type=bpe", f"run_dir={folder / 'bpe'}")
    prepare(other, RunDirectory(other.run_dir))
    assert len(list(cache.iterdir())) == 3
    assert load_corpus(config.data, cache).report["fingerprint"] == run.report()["fingerprint"]


@pytest.mark.parametrize("name", ["rows.npy", "en.ends", "ko.ends"])
def test_damaged_ids_are_named(name: str, prepared: tuple[Path, Config, RunDirectory]) -> None:
    _, config, run = prepared
    (folder,) = cache_folder(config).glob("ids-*")
    for left in (-8, 0):
        (folder / name).write_bytes((folder / name).read_bytes()[:left])
        with pytest.raises(UserError, match=rf"{folder}: is damaged \(.*\); delete it"):
            prepare(config, run)


@pytest.mark.parametrize("text", ["", '{"train": 3', "[1, 2]", "null"])
def test_a_damaged_report_is_named(text: str, prepared: tuple[Path, Config, RunDirectory]) -> None:
    _, config, run = prepared
    (run.path / "corpus.json").write_text(text)
    with pytest.raises(UserError, match=r"corpus\.json: is damaged, so .*; train in a new folder"):
        prepare(config, run)


def test_a_small_corpus_is_said_to_be_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = small_config(tmp_path, "tokenizer.english_size=5000")
    run = RunDirectory(config.run_dir)
    prepare(config, run)
    size = run.tokenizer("en").size
    assert f"note: the corpus is small: {size:,} English pieces instead of 5,000\n" in capsys.readouterr().err

"""Settings: documented, checked, and every mistake named."""

from __future__ import annotations

import ast
import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toy import ROOT
from translator import config as module
from translator.config import Config, SourceConfig
from translator.config_file import load_config, to_yaml
from translator.errors import UserError


def write(folder: Path, text: str, name: str = "my.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def mistake(path: Path, *overrides: str) -> str:
    """The message, which must be one line."""
    with pytest.raises(UserError) as error:
        load_config(path, list(overrides))
    message = str(error.value)
    assert message and "\n" not in message
    return message


def test_every_field_has_a_docstring() -> None:
    assert module.__file__
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert {c.name for c in classes} >= {"Config", "DataConfig", "ModelConfig", "TrainConfig"}
    for node in classes:
        for statement, following in zip(node.body, [*node.body[1:], ast.Pass()], strict=True):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                documented = (
                    isinstance(following, ast.Expr)
                    and isinstance(following.value, ast.Constant)
                    and isinstance(following.value.value, str)
                )
                assert documented, f"{node.name}.{statement.target.id} has no docstring"


@pytest.mark.parametrize(
    "name",
    ["[자료] x.tsv", "a #1.tsv", "a: b.tsv", "{x}", "null", "12", "a=b.tsv", "-x.tsv", "'", "\u1112\u1161\u11ab"],
)
def test_the_name_of_a_file_that_is_there_is_that_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).touch()
    [source] = load_config(write(tmp_path, ""), [f"data.sources={name}"]).data.sources
    assert source.path == str(tmp_path / name)


def test_a_path_may_begin_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    config = load_config(write(tmp_path, "run_dir: ~/runs/x"), ["data.sources=~/x.tsv"])
    assert config.run_dir == str(tmp_path / "home/runs/x")
    assert config.data.sources[0].path == str(tmp_path / "home/x.tsv")


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_recipe_loads(path: Path) -> None:
    config = load_config(path)
    assert Path(config.run_dir).name == path.stem


def test_an_empty_file_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load_config(write(tmp_path, ""))
    assert dataclasses.replace(config, run_dir="") == Config()
    assert Path(config.run_dir).resolve() == (tmp_path / "runs" / "my").resolve()


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("model.widht=8", ["model.widht", "Did you mean: 'width'"]),
        ("modle.width=8", ["modle", "Did you mean: 'model'"]),
        ("max_steps=8", ["max_steps", "Did you mean: 'train.max_steps'"]),
        ("test=x.tsv", ["test", "Did you mean: 'data.test'"]),
        ("data.vaildation=x", ["data.vaildation", "Did you mean", "'validation'"]),
        ("model.width=wide", ["model.width", "wide"]),
        ("model.width=64.5", ["model.width", "64.5"]),
        ("model.width=null", ["model.width"]),
        ("seed=null", ["seed"]),
        ("data.skip_bad_lines=maybe", ["data.skip_bad_lines", "maybe"]),
        ("model.norm=pree", ["model.norm", "'pre', 'post'", "Did you mean: 'pre'"]),
        ("train.optimizer=adam", ["train.optimizer", "Did you mean: 'adamw'"]),
        ("train.schedule=exponential", ["train.schedule", "linear"]),
        ("model.dropout=1.0", ["model.dropout", "at least 0 and below 1", "1.0"]),
        ("model.dropout=-0.1", ["model.dropout", "-0.1"]),
        ("train.learning_rate=0", ["train.learning_rate", "above 0"]),
        ("train.learning_rate=.nan", ["train.learning_rate"]),
        ("train.batch_tokens=15", ["train.batch_tokens", "at least 16"]),
        ("data.sources=[{path: x.tsv, weight: 0}]", ["data.sources[0].weight", "above 0"]),
        ("tokenizer.korean_size=299", ["tokenizer.korean_size", "at least 300"]),
        ("model.width=90", ["model.width", "90", "model.heads"]),
        ("model=8", ["model", "group"]),
        ("model=[8]", ["model", "group"]),
        ("model=null", ["model"]),
        ("data.sources=[{}]", ["source", "path", "hub"]),
        ("data.sources=[{file: x}]", ["file"]),
        ("data.sources=[1]", ["data.sources[0]"]),
        ("validation.samples={a: 1}", []),
        ("run_dir=${nowhere}", ["run_dir", "nowhere"]),
        ("run_dir=${", ["run_dir"]),
    ],
)
def test_a_wrong_setting_is_named(setting: str, wanted: list[str], tmp_path: Path) -> None:
    message = mistake(write(tmp_path, ""), setting)
    assert message.startswith("command line: ")
    for part in wanted:
        assert part in message

    keys, _, value = setting.partition("=")
    groups = "".join("  " * depth + f"{key}:\n" for depth, key in enumerate(keys.split(".")))
    path = write(tmp_path, groups.rstrip("\n") + f" {value}\n")
    message = mistake(path)
    assert message.startswith(f"{path}: ")
    for part in wanted:
        assert part in message


@pytest.mark.parametrize("override", ["model.width", "--help-me", "", "width 8"])
def test_an_override_without_equals(override: str, tmp_path: Path) -> None:
    message = mistake(write(tmp_path, ""), override)
    assert message.startswith("command line: ") and f"'{override}'" in message and "key=value" in message


@pytest.mark.parametrize("override", ["=3", "model.=3", "..=3", "model.width=[", "model.width.x=3"])
def test_a_malformed_override(override: str, tmp_path: Path) -> None:
    assert mistake(write(tmp_path, ""), override).startswith("command line: ")


@pytest.mark.parametrize("text", ["a: [", "- seed", "seed", "seed: 1\nseed: 2\n", "a: b: c", "\tseed: 1"])
def test_a_file_that_holds_no_settings(text: str, tmp_path: Path) -> None:
    path = write(tmp_path, text)
    assert mistake(path).startswith(f"{path}: ")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path, "", "everyday.yaml")
    message = mistake(tmp_path / "evryday.yaml")
    assert "evryday.yaml" in message and f"Did you mean '{tmp_path / 'everyday.yaml'}'" in message
    assert "Did you mean" not in mistake(tmp_path / "zzz" / "q.yaml")
    assert str(tmp_path) in mistake(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"seed: \xff\xfe")
    assert str(binary) in mistake(binary)


def test_paths_are_relative_to_where_they_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "configs").mkdir()
    (tmp_path / "work").mkdir()
    text = json.dumps(
        {
            "run_dir": "../r",
            "data": {"sources": ["a.tsv", {"path": "/b.tsv"}], "validation": "v.tsv", "test": ["t"]},
        }
    )
    path = write(tmp_path / "configs", text)
    monkeypatch.chdir(tmp_path / "work")
    relative = Path("..") / "configs" / "my.yaml"
    for config in (load_config(path), load_config(relative)):
        assert Path(config.run_dir).resolve() == tmp_path / "r"
        held_out = [*config.data.validation, *config.data.test]
        assert [Path(s.path).resolve() for s in held_out] == [
            tmp_path / "configs" / "v.tsv",
            tmp_path / "configs" / "t",
        ]
        assert [Path(s.path).resolve() for s in config.data.sources] == [
            tmp_path / "configs" / "a.tsv",
            Path("/b.tsv"),
        ]

    config = load_config(path, ["data.sources=[c.tsv]", "data.test=[/d.tsv,e.tsv]", "run_dir=q"])
    assert [Path(s.path) for s in config.data.sources] == [tmp_path / "work" / "c.tsv"]
    assert [Path(s.path) for s in config.data.test] == [Path("/d.tsv"), tmp_path / "work" / "e.tsv"]
    assert Path(config.run_dir) == tmp_path / "work" / "q"
    assert Path(config.data.validation[0].path).resolve() == tmp_path / "configs" / "v.tsv"


@pytest.mark.parametrize("value", ["x.tsv", "[x.tsv]", "{path: x.tsv}", "[{path: x.tsv}]"])
def test_short_forms(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    wanted = [SourceConfig(str(tmp_path / "x.tsv"))]
    assert load_config(write(tmp_path, ""), [f"data.sources={value}"]).data.sources == wanted
    assert load_config(write(tmp_path, f"data: {{sources: {value}}}")).data.sources == wanted
    assert load_config(write(tmp_path, "data: {test: x.tsv}")).data.test == wanted


@pytest.mark.parametrize("overrides", [["model.width=90", "model.heads=3"], ["model.heads=3", "model.width=90"]])
def test_overrides_are_merged_before_they_are_checked(overrides: list[str], tmp_path: Path) -> None:
    config = load_config(write(tmp_path, "model: {width: 64}"), overrides)
    assert (config.model.width, config.model.heads) == (90, 3)


def test_sampling_needs_unigram_pieces(tmp_path: Path) -> None:
    path = write(tmp_path, "tokenizer: {type: bpe}")
    assert load_config(path).tokenizer.sampling == 0
    with pytest.raises(UserError, match=r"sampling needs tokenizer\.type=unigram"):
        load_config(path, ["tokenizer.sampling=0.1"])


def test_the_command_line_beats_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "seed: 5\nmodel: {width: 64, heads: 8}")
    config = load_config(path, ["seed=6", "seed=7", "model.width=32"])
    assert (config.seed, config.model.width, config.model.heads) == (7, 32, 8)


texts = st.text(st.characters(codec="utf-8")).filter(lambda s: "${" not in s and s != "???")


@settings(max_examples=20)
@given(
    samples=st.lists(
        texts | st.sampled_from(["yes", "null", "1e3", "~", "0x1f", "a: b", "#", "2020-01-01", "가"])
    ),
    rate=st.floats(1e-12, 1e6),
    seed=st.integers(0, 2**63),
    norm=st.sampled_from(["pre", "post"]),
    path=st.sampled_from(["a b.tsv", "한국.tsv", "x#1.tsv"]),
)
def test_what_is_saved_is_loaded_again(
    tmp_path_factory: pytest.TempPathFactory, samples: list[str], rate: float, seed: int, norm: str, path: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    config = load_config(write(folder, ""), [f"seed={seed}", f"model.norm={norm}", f"data.sources=['{path}']"])
    config.validation.samples = samples
    config.train.learning_rate = rate
    write(folder, to_yaml(config), "saved.yaml")
    assert load_config(folder / "saved.yaml") == config

"""The benchmark of quality, from a recipe to a table, on the toy language."""

from __future__ import annotations

import json
import lzma
import sys
from pathlib import Path

import pytest

from benchmarks import compare, quality
from benchmarks.systems import TESTS, VALIDATION, System, read_curve, read_lines
from tests.toy import ROOT, toy_pairs, toy_yaml
from translator.config_file import load_config
from translator.corpus import Pair
from translator.errors import UserError


def call(main: object, monkeypatch: pytest.MonkeyPatch, *args: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, args)])
    assert callable(main)
    main()


def test_from_a_recipe_to_a_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    corpora, out, peers, results = (tmp_path / name for name in ("corpora", "out", "peers", "results.md"))
    corpora.mkdir()
    pairs = toy_pairs()
    held_out = {name: pairs[i::60] for i, name in enumerate((*VALIDATION, *TESTS))}
    for name, some in {"tatoeba": pairs, **held_out}.items():
        with lzma.open(corpora / f"{name}.tsv.xz", "wt", encoding="utf-8") as file:
            file.writelines(f"{english}\t{korean}\n" for english, korean in some)
    results.write_text(
        f"# Results\n\n{quality.HEADING}\n\n{quality.header()}\n| old |\n\n## Next\n", encoding="utf-8"
    )
    small = ["train.max_steps=20", "validation.every_steps=10", "validation.samples=[]", "model.width=16"]
    command: list[str | Path] = [
        toy_yaml(tmp_path),
        "--track",
        "tiny",
        "--minutes",
        "5",
        "--corpora",
        corpora,
        "--out",
        out,
    ]
    call(quality.main, monkeypatch, *command, "--peers", peers, "--results", results, *small)

    system = System.load(out)
    lines = results.read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["# Results", ""] and lines[-2:] == ["", "## Next"]
    assert lines[-4] == "| old |" and "`train.max_steps=20`" in lines[-3] and f"{system.parameters:,}" in lines[-3]
    assert lines[-3].count("|") == lines[4].count("|") == lines[5].count("|")
    assert system.steps == 20 and system.tokens > 20 * 100
    assert len(read_curve(out)) == 2 and set(system.nats_per_character) == set(VALIDATION)
    assert all(0 < nats < 20 for nats in system.nats_per_character.values())

    def read(name: str) -> list[Pair]:
        english, korean = (read_lines(peers / f"{name}.{language}") for language in ("en", "ko"))
        return list(zip(english, korean, strict=True))

    trained = read("train")
    assert len(trained) == quality.EPOCHS_FOR_PEERS * system.pairs and len(set(trained)) == system.pairs
    held = {sentence for some in held_out.values() for pair in some for sentence in pair}
    assert not held & {sentence for pair in trained for sentence in pair}
    assert set(trained) <= set(pairs)
    for name, some in held_out.items():
        assert read(name) == some
        assert len(read_lines(out / "translations" / f"{name}.ko")) == len(some)
    assert sorted(read("dev")) == sorted(pair for name in VALIDATION for pair in held_out[name])
    assert json.loads((peers / "facts.json").read_text(encoding="utf-8"))["sizes"]["width"] == 16

    capsys.readouterr()
    call(compare.main, monkeypatch, out, out, "--corpora", corpora, "--curves", tmp_path / "curves.png")
    table = capsys.readouterr().out.splitlines()
    assert table[-1].count("+0.00, p 1.000") == len(held_out) and "p 1.000" not in table[-2]
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")

    with pytest.raises(UserError, match="is there already"):
        call(quality.main, monkeypatch, *command)


def test_a_table_is_begun_where_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "new.md"
    quality.note(path, "| one |")
    quality.note(path, "| two |")
    assert path.read_text(encoding="utf-8") == f"{quality.HEADING}\n\n{quality.header()}\n| one |\n| two |\n"
    path.write_text(f"{quality.HEADING}\n\nNothing yet.\n\n## Next\n\n| other |\n", encoding="utf-8")
    quality.note(path, "| one |")
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"{quality.HEADING}\n\n{quality.header()}\n| one |\n") and text.endswith("| other |\n")


def test_the_general_track_is_part_of_all() -> None:
    general, everything = (load_config(path).data for path in quality.TRACKS.values())
    assert {source.path for source in general.sources} < {source.path for source in everything.sources}
    names = {Path(source.path).name for source in general.sources}
    assert not {f"{name}.tsv.xz" for name in (*VALIDATION, *TESTS)} & names
    assert (general.validation, general.test) == (everything.validation, everything.test)
    settings = quality.track_settings("general", Path("/data"))
    config = load_config(ROOT / "configs" / "tatoeba.yaml", settings)
    assert {Path(source.path).name for source in config.data.sources} == names
    assert all(Path(source.path).parent == Path("/data") for source in config.data.sources)


def test_nats_per_character() -> None:
    assert quality.nats_per_character([-2.0, -4.0], ["가 나", "다"]) == 1.5

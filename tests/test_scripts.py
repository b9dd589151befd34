"""The scripts as a user meets them. Each process costs seconds, so they are few."""

from __future__ import annotations

import json
import os
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.toy import ROOT, SCRIPTS, ToyRun, environment, run_script, toy_yaml
from translator.checkpoint import RunDirectory
from translator.inspection.alignment import pharaoh
from translator.inspection.exports import best_links
from translator.inspection.maps import AttentionMaps
from translator.scoring import AligningHead


def run_here(name: str, *args: str | Path) -> None:
    """Run a script in this process, where the slow imports are done already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [name, *map(str, args)])
        runpy.run_path(str(ROOT / "scripts" / name), run_name="__main__")


HELP = """
import runpy, sys
sys.argv = [sys.argv[1], "--help"]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as stop:
    assert not stop.code
heavy = {"torch", "datasets", "matplotlib", "sentencepiece", "omegaconf"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_help_is_quick_and_shows_an_example(script: Path) -> None:
    command = [sys.executable, "-c", HELP, str(script)]
    done = subprocess.run(command, capture_output=True, env=environment(), text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"python scripts/{script.name} " in done.stdout
    assert "usage:" in done.stdout and "positional arguments" in done.stdout


def mistake(done: subprocess.CompletedProcess[bytes]) -> str:
    assert done.returncode == 2
    assert done.stdout == b""
    error = done.stderr.decode()
    assert error.startswith("error: ") and error.count("\n") == 1, error
    return error


@pytest.mark.parametrize(
    ("script", "arguments", "wanted"),
    [
        ("translate.py", "RUN --beam 0 x", "--beam and --nbest must be at least 1"),
        ("translate.py", "RUN --resume x", "--resume needs --output"),
        ("translate.py", "RUN --input absent.txt", "absent.txt: no such file"),
        ("translate.py", "RUN --input toy.yaml x", "not both"),
        ("translate.py", "RUN --input toy.yaml --output toy.yaml", "--output is the --input"),
        ("export_attention.py", "RUN --source x --layer 1", "--layer and --head go together"),
        ("export_attention.py", "RUN --input x --target y", "go with --source, not with --input"),
        ("evaluate_alignment.py", "RUN --data x --gold y --valid-data z", "--valid-gold go together"),
    ],
)
def test_mistakes_seen_at_once(script: str, arguments: str, wanted: str, toy_run: ToyRun) -> None:
    args = [str(toy_run.path) if a == "RUN" else a for a in shlex.split(arguments)]
    assert wanted in mistake(run_script(script, *args, cwd=toy_run.path.parent))


@pytest.mark.parametrize(
    ("script", "arguments", "wanted"),
    [
        ("prepare_corpus.py", "toy.yaml data.sources=absent.tsv", "absent.tsv: no such file"),
        ("train.py", "toy.yml", "Did you mean 'toy.yaml'"),
        ("train.py", "pairs.tsv", "pairs.tsv: not a YAML file; to train on it: configs/tatoeba.yaml data"),
        ("train.py", "toy.yaml modle.width=3", "Did you mean: 'model'"),
        ("train.py", "toy.yaml model.width=64", "model.width=32, now it is 64"),
        ("translate.py", "absent x", "absent: no run here"),
        ("translate.py", "RUN x --output absent/x.txt", "absent"),
        ("translate.py", "RUN x --precision int8", "needs the engine ctranslate2"),
        ("evaluate.py", "RUN --data absent.tsv", "absent.tsv: no such file"),
        ("evaluate.py", "RUN --data test.tsv --beam 0", "beam is 0; it must be at least 1"),
        ("export_attention.py", "RUN --source x --layer 3 --head 1", "layers 1 to 2 with heads 1 to 2"),
        ("evaluate_alignment.py", "RUN --data test.tsv --gold absent", "absent: no such file of alignments"),
    ],
)
def test_mistakes_seen_later(
    script: str,
    arguments: str,
    wanted: str,
    toy_run: ToyRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    args = [str(toy_run.path) if a == "RUN" else a for a in shlex.split(arguments)]
    monkeypatch.chdir(toy_run.path.parent)
    with pytest.raises(SystemExit) as stop:
        run_here(script, *args)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    assert out == "" and len(errors) == 1 and wanted in errors[0]
    assert err.endswith(errors[0] + "\n")


def test_training_tells_how_it_goes(toy_run: ToyRun) -> None:
    assert "float32 on cpu" in toy_run.stderr
    assert "step 10  loss" in toy_run.stderr and "step 150: validation loss" in toy_run.stderr
    assert "I like apples.  →  " in toy_run.stderr
    assert toy_run.stdout.startswith("Trained ") and toy_run.stdout.count("\n") == 1
    present = {str(p.relative_to(toy_run.path)) for p in toy_run.path.rglob("*") if p.is_file()}
    assert present >= {
        "config.yaml", "corpus.json", "metrics.jsonl", "best/model.safetensors", "lock",
        "tokenizer/en.model", "tokenizer/ko.model", "tokenizer/en.words", "snapshots/step-000300.safetensors",
    }  # fmt: skip
    assert not [name for name in present if name.endswith(".tmp")]


def test_a_finished_run_is_not_trained_again(toy_run: ToyRun, capsys: pytest.CaptureFixture[str]) -> None:
    files = [toy_run.path / "best/model.safetensors", toy_run.path / "metrics.jsonl"]
    files += (toy_run.path / "checkpoints").iterdir()
    before = [path.read_bytes() for path in files]
    run_here("train.py", toy_run.config)
    assert "trained already: 300 steps" in capsys.readouterr().out
    assert [path.read_bytes() for path in files] == before


def test_training_stopped_by_ctrl_c_does_not_pass_for_done(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts/train.py"), str(toy_yaml(tmp_path)), "train.max_steps=100000"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stderr
        while not process.stderr.readline().startswith("step"):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert "the same command goes on from there" in process.communicate()[1]
    assert process.returncode == 130


def test_the_steps_before_training(toy_run: ToyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_here("train_tokenizer.py", toy_run.config, f"run_dir={tmp_path / 'run'}")
    text = capsys.readouterr().out
    assert "en.model" in text and "ko.model" in text and "▁" in text
    for name in ("en.model", "ko.model", "en.words"):
        made = (tmp_path / "run" / "tokenizer" / name).read_bytes()
        assert made == (toy_run.path / "tokenizer" / name).read_bytes()

    with RunDirectory(tmp_path / "run").locked(), pytest.raises(SystemExit):
        run_here("train_tokenizer.py", toy_run.config, f"run_dir={tmp_path / 'run'}")
    assert "another process is" in capsys.readouterr().err

    run_here("prepare_corpus.py", toy_run.config)
    text = capsys.readouterr().out
    report = RunDirectory(toy_run.path).report()
    assert f"{report['train']:,}  for training" in text and f"{report['validation']:,}  for validation" in text
    assert "Dropped, in validation or test:" in text and "pairs.tsv, line " in text


LINES = [
    "I like apples.",
    "",
    "   ",
    "\t",
    "We buy\u2028milk.",
    "🙂",
    "저는 사과를 좋아해요.",
    "She likes\x0b\x85zebras.",
    "They want bread.",
]


def test_translate_gives_as_many_lines_as_it_gets(
    toy_run: ToyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_bytes("\n".join(LINES).encode())  # no newline at the end
    done = run_script("translate.py", toy_run.path, stdin=("\r\n".join(LINES) + "\r\n").encode())
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(b"\n") == len(LINES) and b"\r" not in done.stdout
    lines = done.stdout.decode().split("\n")[:-1]
    assert [bool(line) for line in lines] == [bool(line.strip()) for line in LINES]
    assert done.stderr.decode() == "not in the training data: 저는, 사과를, 좋아해요, zebras\n"

    run_here("translate.py", toy_run.path, "--input", source, "--output", target, "--quiet")
    out, err = capsys.readouterr()
    assert (out, err) == ("", "")
    assert target.read_bytes().decode().split("\n") == [*lines, ""]

    # Options may stand before the text or after it.
    for args in (["--beam", "2", "--show-source", *LINES[::8]], [*LINES[::8], "--show-source", "--beam", "2"]):
        run_here("translate.py", toy_run.path, *args)
        assert [line.split("\t")[0] for line in capsys.readouterr().out.splitlines()] == LINES[::8]


def test_translate_goes_on_where_it_was_stopped(toy_run: ToyRun, tmp_path: Path) -> None:
    source, target = tmp_path / "in.txt", tmp_path / "out.txt"
    source.write_bytes("\n".join(LINES).encode())
    command = ("translate.py", toy_run.path, "--input", source, "--output", target, "--quiet")
    run_here(*command)
    whole = target.read_bytes()
    target.write_bytes(whole[:-30])  # as if killed: the last line is torn
    run_here(*command, "--resume")
    assert target.read_bytes() == whole
    run_here(*command, "--resume")  # nothing is left to do
    assert target.read_bytes() == whole


def test_translate_n_best(toy_run: ToyRun, capsys: pytest.CaptureFixture[str]) -> None:
    run_here("translate.py", toy_run.path, "I like milk.", "We buy bread.", "--nbest", "3")
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["1", "1", "1", "2", "2", "2"]
    for of_line in (rows[:3], rows[3:]):
        scores = [float(score) for _, score, _ in of_line]
        assert scores == sorted(scores, reverse=True) and len({korean for *_, korean in of_line}) == 3


def test_export_ctranslate2(toy_run: ToyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = pytest.importorskip("ctranslate2")
    sizes = []
    for precision in ("float32", "int8"):
        out = tmp_path / precision
        run_here("export_ctranslate2.py", toy_run.path, "--out", out, "--precision", precision)
        assert str(out) in capsys.readouterr().out
        assert (out / "en.model").read_bytes() == (toy_run.path / "tokenizer" / "en.model").read_bytes()
        sizes.append((out / "model.bin").stat().st_size)
        engine.Translator(str(out))
    assert sizes[1] < 0.7 * sizes[0]


def test_translate_names_the_line_that_is_not_utf8(toy_run: ToyRun) -> None:
    done = run_script("translate.py", toy_run.path, stdin=b"I like milk.\nWe buy \xff\n")
    assert "standard input, line 2: not UTF-8" in mistake(done)
    done = run_script("translate.py", toy_run.path, "--errors", "replace", stdin=b"I like milk.\nWe buy \xff\n")
    assert done.returncode == 0 and done.stdout.count(b"\n") == 2


@pytest.mark.skipif(os.name != "posix", reason="a shell's pipe")
def test_a_reader_that_leaves_is_no_error(toy_run: ToyRun, tmp_path: Path) -> None:
    many = tmp_path / "many.txt"
    many.write_text("I like apples.\n" * 2000, encoding="utf-8")
    python, script = shlex.quote(sys.executable), shlex.quote(str(ROOT / "scripts" / "translate.py"))
    command = f"{python} {script} {shlex.quote(str(toy_run.path))} --input {shlex.quote(str(many))} | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, env=environment(), check=False)
    assert done.stdout.count(b"\n") == 1 and done.stderr == b""


def test_evaluate(toy_run: ToyRun, tmp_path: Path) -> None:
    data, report = toy_run.config.parent / "test.tsv", tmp_path / "scores.json"
    done = run_script("evaluate.py", toy_run.path, "--data", data, "--json", report)
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode()
    scores = json.loads(report.read_text(encoding="utf-8"))
    assert {"chrF++", "BLEU char", "exact match"} <= set(scores)
    for name, figure in scores.items():
        assert 0 <= figure["score"] <= 100.001
        assert name in text and figure["signature"] in text
    assert "version:" in scores["chrF++"]["signature"]
    assert scores["chrF++"]["score"] > 50


def test_evaluate_against_another_run(toy_run: ToyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, report = toy_run.config.parent / "test.tsv", tmp_path / "scores.json"
    run_here("evaluate.py", toy_run.path, "--data", data, "--against", toy_run.path, "--details", "--json", report)
    text = capsys.readouterr().out
    assert "the other" in text and "Worst sentences" in text and "1 to 5" in text
    found = json.loads(report.read_text(encoding="utf-8"))["chrF++"]
    assert found["against"]["difference"] == 0 and found["against"]["p_better"] == 1
    assert found["interval"][0] <= found["score"] <= found["interval"][1]
    assert found["best"][0]["score"] >= found["worst"][0]["score"]


ENDINGS = [
    "html", "attn.json", "attn.npz", "csv", "align", "bertviz.json",
    *(f"{kind}.{suffix}"
      for kind in ("cross", "cross-words", "cross-layer", "cross-heads", "encoder-heads", "decoder-heads", "three")
      for suffix in ("png", "svg", "pdf")),
]  # fmt: skip


def test_export_attention(toy_run: ToyRun, tmp_path: Path) -> None:
    sentence = "Jimin doesn't sell zebras!"
    done = run_script(
        "export_attention.py", toy_run.path, "--source", sentence, "--out", tmp_path, "--layer", "2", "--head", "1"
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.decode() == "not in the training data: zebras\n"
    name = "jimin-doesn-t-sell-zebras"
    assert {p.name for p in tmp_path.iterdir()} == {f"{name}.{ending}" for ending in ENDINGS}
    text = done.stdout.decode()
    assert all(f"{name}.{ending}" in text for ending in ENDINGS) and "layer 2, head 1" in text
    maps = AttentionMaps.load(tmp_path / f"{name}.attn.json")
    assert maps.source.text == sentence and maps.target.text in text
    assert [word.text for word in maps.source.words if not word.known] == ["zebras"]
    assert maps.best is not None and (maps.best.layer, maps.best.head) == (1, 0)
    assert maps.best.chosen_by == "hand"
    np.testing.assert_allclose(maps.cross.sum(-1), 1, atol=1e-6)
    assert (tmp_path / f"{name}.cross.png").read_bytes().startswith(b"\x89PNG")


def test_export_attention_of_a_file(toy_run: ToyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "in.txt"
    source.write_text("I like milk.\n\nThey buy bread.\t그들은 우유를 사요.\n", encoding="utf-8")
    choices = ["--layer", "1", "--head", "2", "--reading", "reads", "--measure", "norms", "--links", "threshold"]
    run_here("export_attention.py", toy_run.path, "--input", source, "--out", tmp_path / "out", *choices)
    assert "index.json lists 2 sentences" in capsys.readouterr().out
    index = json.loads((tmp_path / "out" / "index.json").read_text(encoding="utf-8"))
    assert [entry["forced"] for entry in index] == [False, True]
    assert index[1]["target"] == "그들은 우유를 사요."
    maps = AttentionMaps.load(tmp_path / "out" / index[1]["file"])
    assert maps.best == AligningHead(0, 1, "reads", "norms")
    assert index[1]["links"] == pharaoh(best_links(maps, "threshold"))


def test_evaluate_alignment(toy_run: ToyRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    shutil.copytree(toy_run.path, run)
    data, gold = tmp_path / "x.tsv", tmp_path / "x.align"
    data.write_text("I like apples.\t저는 사과를 좋아해요.\nWe buy milk.\t우리는 우유를 사요.\n", encoding="utf-8")
    gold.write_text("0-0 1-2 2-1\n0-0 1-2 2-1\n", encoding="utf-8")
    files: list[str | Path] = ["--data", data, "--gold", gold]
    run_here("evaluate_alignment.py", run, *files)
    out = capsys.readouterr().out
    assert "chosen by mutual information" in out and "IBM model 1" in out and "diagonal" in out
    found = tmp_path / "found.align"
    files += ["--valid-data", data, "--valid-gold", gold, "--checkpoints", "all", "--out", found]
    run_here("evaluate_alignment.py", run, *files)
    assert "chosen by alignment error rate" in capsys.readouterr().out
    assert found.read_text(encoding="utf-8").count("\n") == 2
    assert (run / "attention" / "alignment-curves.png").is_file()

    best = RunDirectory(run).aligning_head()
    outcome = json.loads((run / "alignment.json").read_text(encoding="utf-8"))
    assert best is not None and best.chosen_by == "alignment error rate"
    assert min(row["error_rate"] for row in outcome["scores"].values()) == 0  # the perfect links
    run_here("export_attention.py", run, "--source", "I like apples.", "--checkpoints", "all")
    maps = AttentionMaps.load(run / "attention" / "i-like-apples.attn.json")
    assert maps.best == best
    assert maps.history is not None and maps.history["curves"]["error_rate"] == outcome["curves"]["error_rate"]
    assert (run / "attention" / "i-like-apples.history.png").is_file()

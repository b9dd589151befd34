"""The prompt answers, and does as it is told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.toy import ToyRun
from translator.decoding import GREEDY
from translator.prompt import HELP, Prompt
from translator.translate import Translator


@pytest.fixture
def prompt(toy_run: ToyRun, tmp_path: Path) -> Prompt:
    shutil.copytree(toy_run.path, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints", "snapshots"))
    return Prompt(Translator.load(tmp_path / "run"), tmp_path / "run", GREEDY)


def type_in(lines: list[str], prompt: Prompt, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the loop with these lines typed, then Ctrl-C on a line, then the end of input."""

    def keys() -> Iterator[str]:
        yield from lines
        raise KeyboardInterrupt

    typed = keys()

    def read(_: str) -> str:
        try:
            return next(typed)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr("builtins.input", read)
    prompt.loop()


def test_it_answers_piece_by_piece(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    type_in(["I like apples.", "", "  ", "zebras"], prompt, monkeypatch)
    out, err = capsys.readouterr()
    assert out.splitlines()[1] == prompt.translator.translate(["I like apples."])[0]
    assert err == "not in the training data: zebras\n"
    flushed: list[str] = []
    monkeypatch.setattr("builtins.print", lambda *text, **_: flushed.append("".join(text)))
    prompt.answer("I like apples.")
    assert len(flushed) >= 4 and "".join(flushed) == out.splitlines()[1]


def test_commands(prompt: Prompt, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert prompt.command("attention") == "translate something first"
    type_in(
        [":beam 4", "I like apples.", ":nbest 3", "We buy milk.", ":help", ":", ":beam x"], prompt, monkeypatch
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "beam 4, showing 1"
    assert lines[2] == prompt.translator.translate(["I like apples."], beam=4)[0]
    assert lines[3] == "beam 4, showing 3"
    scores = [float(line.split()[0]) for line in lines[4:7]]
    assert scores == sorted(scores, reverse=True)
    assert lines[7:-4] == HELP.splitlines() and all("what is that?" in line for line in lines[-4:-2])
    assert prompt.command("nbest", "6") == "beam 6, showing 6"
    assert prompt.command("beam", "0").startswith("what is that?")


def test_attention_is_written_and_named(prompt: Prompt) -> None:
    prompt.answer("I like apples.")
    said = prompt.command("attention")
    files = {path.name for path in (prompt.run / "attention").iterdir()}
    assert files == {"prompt.attn.json", "prompt.attn.npz", "prompt.cross-heads.png"}
    assert all(name in said for name in files)

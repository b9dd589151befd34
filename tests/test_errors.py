"""What a script's end looks like to the user."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from translator.errors import UserError, run


def raiser(error: BaseException) -> Callable[[], None]:
    def main() -> None:
        raise error

    return main


def test_a_mistake_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(raiser(UserError("pairs.tsv, line 3: bad")))
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: pairs.tsv, line 3: bad\n"


def test_a_file_that_cannot_be_written_is_one_line_too(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        run((tmp_path / "absent" / "file").mkdir)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'absent' / 'file'}: No such file or directory\n"


@pytest.mark.parametrize("name", ["stdin", "stdout", "stderr"])
def test_a_stream_that_is_closed_is_an_empty_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, name, None)
    run(lambda: print(getattr(sys, name).read(), file=getattr(sys, name)))


def test_a_name_that_is_no_text_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(SystemExit):
        run(raiser(UserError(f"{os.fsdecode('한'.encode('cp949'))}글.tsv: no such file")))
    terminal.flush()
    assert terminal.buffer.getvalue().decode() == "error: ??글.tsv: no such file\n"


def test_a_full_memory_has_a_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run(lambda: print(torch.empty(1 << 60)))
    assert stop.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: out of memory; train.accumulate=") and error.count("\n") == 1


def test_ctrl_c_and_bugs() -> None:
    with pytest.raises(SystemExit) as stop:
        run(raiser(KeyboardInterrupt()))
    assert stop.value.code == 130
    for bug in (ZeroDivisionError, RuntimeError):
        with pytest.raises(bug):
            run(raiser(bug()))
    run(lambda: None)

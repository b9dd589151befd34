"""What a script's end looks like to the user."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

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
    error = capsys.readouterr().err
    assert "absent" in error and error.count("\n") == 1


def test_ctrl_c_and_bugs() -> None:
    with pytest.raises(SystemExit) as stop:
        run(raiser(KeyboardInterrupt()))
    assert stop.value.code == 130
    with pytest.raises(ZeroDivisionError):
        run(raiser(ZeroDivisionError()))
    run(lambda: None)

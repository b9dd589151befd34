"""What is asked of the machine falls back where it cannot be had."""

from __future__ import annotations

import pytest
import torch

from tests.toy import tiny_model
from translator.hardware import compiled, keep_freed_memory


def test_keeping_memory_can_be_asked_for_twice() -> None:
    for _ in range(2):
        keep_freed_memory()
        assert torch.ones(2**22).sum() == 2**22  # 16 MiB, which the C library would have given back


def test_compiling_is_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    model, cpu = tiny_model(), torch.device("cpu")
    assert compiled(model, "off", torch.device("cuda")) is model
    monkeypatch.setattr(torch, "compile", lambda function, **_: lambda *arguments: "compiled")
    assert compiled(model, "auto", cpu) is model
    assert compiled(model, "on", cpu)() == "compiled"


def test_where_compiling_does_not_work_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(function: object, **_: object) -> None:
        raise RuntimeError("No working C++ compiler found\nin 4 places")

    model = tiny_model()
    monkeypatch.setattr(torch, "compile", fail)
    assert compiled(model, "on", torch.device("cpu")) is model
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "No working C++ compiler found" in line

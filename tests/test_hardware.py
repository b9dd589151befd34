"""What is asked of the machine falls back where it cannot be had."""

from __future__ import annotations

import os

import pytest
import torch
from torch import nn

from tests.toy import tiny_model
from translator.hardware import compile_layers, expect_many_shapes, keep_freed_memory, uncompiled
from translator.model import Transformer


def test_keeping_memory_can_be_asked_for_twice() -> None:
    for _ in range(2):
        keep_freed_memory()
        assert torch.ones(2**22).sum() == 2**22  # 16 MiB, which the C library would have given back


def layers(model: Transformer) -> list[nn.Module]:
    return [*model.encoder, *model.decoder]


def test_compiling_is_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    model, cpu = tiny_model(), torch.device("cpu")
    compiled: list[object] = []
    monkeypatch.setattr(torch, "compile", lambda function, **_: lambda *arguments: arguments)
    monkeypatch.setattr(nn.Module, "compile", lambda self, **_: compiled.append(self))
    compile_layers(model, "off", torch.device("cuda"))
    compile_layers(model, "auto", cpu)
    assert compiled == []
    compile_layers(model, "on", cpu)
    assert compiled == layers(model)


def test_what_is_compiled_computes_the_same() -> None:
    source, target = torch.randint(4, 20, (3, 7)), torch.randint(4, 20, (3, 5))
    plain, compiled = tiny_model(), tiny_model()
    for layer in layers(compiled):
        layer.compile(backend="eager", dynamic=True)  # what Dynamo makes of it; needs no C++ compiler
    for model in (plain, compiled):
        model.train()
        model(source, target, target).backward()
    for a, b in zip(plain.parameters(), compiled.parameters(), strict=True):
        assert a.grad is not None and b.grad is not None
        assert torch.allclose(a.grad, b.grad, atol=1e-6)
    with uncompiled():
        assert torch.equal(compiled.eval()(source, target), plain.eval()(source, target))


def test_where_compiling_does_not_work_one_line_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(function: object, **_: object) -> None:
        raise RuntimeError("No working C++ compiler found\nin 4 places")

    monkeypatch.setattr(torch, "compile", fail)
    monkeypatch.setattr(nn.Module, "compile", fail)
    compile_layers(tiny_model(), "on", torch.device("cpu"))
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "No working C++ compiler found" in line


@pytest.mark.parametrize(
    ("batch_tokens", "users", "kept"),
    [(512, None, None), (1024, None, None), (1025, None, "64"), (4096, "7", "7")],
)
def test_of_larger_batches_fewer_kernels_are_kept(
    batch_tokens: int, users: str | None, kept: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", users or "")  # so that it is put back afterwards
    if users is None:
        monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY")
    expect_many_shapes(batch_tokens)
    assert os.environ.get("ONEDNN_PRIMITIVE_CACHE_CAPACITY") == kept

"""The examples in the documentation of every module and script are true."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.test_layout import ORDER
from tests.toy import ROOT, SCRIPTS


def check(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", ORDER)
def test_module(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    check(importlib.import_module(f"translator.{name}"), monkeypatch)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_script(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = importlib.util.spec_from_file_location(f"script_{script.stem}", script)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    check(module, monkeypatch)

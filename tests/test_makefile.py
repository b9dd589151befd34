"""The virtual environment that make makes."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy import ROOT


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None, reason="runs make")
def test_a_folder_that_was_copied_or_renamed_runs_its_own_code(tmp_path: Path) -> None:
    first, copy, renamed = (tmp_path / name for name in ("처음 folder", "copy", "renamed"))
    (first / "translator").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", first)
    (first / "translator" / "__init__.py").touch()
    subprocess.run(["make", ".venv/bin/pip", f"PYTHON={sys.executable}"], cwd=first, check=True)
    shutil.copytree(first, copy, symlinks=True)
    first.rename(renamed)
    for folder in (copy, renamed):
        show = [str(folder / ".venv/bin/python"), "-I", "-c", "import translator; print(translator.__file__)"]
        found = subprocess.run(show, cwd=tmp_path, check=True, capture_output=True, text=True, encoding="utf-8")
        assert Path(found.stdout.strip()) == folder / "translator" / "__init__.py"

"""Imports go one way, so that the files can be read in order, and all is small enough to be read."""

from __future__ import annotations

import ast
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

from tests.toy import ROOT, SCRIPTS, environment

ORDER = [
    "errors", "atomic", "config", "config_file", "hardware", "tokenizer", "cleaning", "files", "hub",
    "sources", "corpus", "batching", "dropout", "attention", "loss", "model", "packing", "decoding", "scoring",
    "evaluation", "optimization", "distributed", "checkpoint", "preparation", "reporting", "training",
    "inspection.words", "inspection.measures", "inspection.bundle", "inspection.maps", "inspection.history",
    "inspection.alignment", "inspection.model_one", "inspection.figures", "inspection.page",
    "inspection.exports", "inspection.curves", "export", "translate", "lines", "prompt", "samples", "server",
]  # fmt: skip
"""Each module imports only from those before it."""

MODULES = {
    ".".join(path.relative_to(ROOT / "translator").with_suffix("").parts): path
    for path in sorted((ROOT / "translator").rglob("*.py"))
    if path.name != "__init__.py"
}


def imports(path: Path) -> set[str]:
    """Full names of all that a file imports, inside functions too; `from a import b` gives `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_module_has_its_place_in_the_order() -> None:
    assert sorted(MODULES) == sorted(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_only_from_those_before_it(name: str) -> None:
    inside = {i.removeprefix("translator.") for i in imports(MODULES[name]) if i.split(".")[0] == "translator"}
    used = {module for module in ORDER for i in inside if i == module or i.startswith(module + ".")}
    assert used <= set(ORDER[: ORDER.index(name)])
    assert "translator" not in inside or "inspection" in name, "the package itself stands after all its modules"
    assert "scripts" not in {i.split(".")[0] for i in imports(MODULES[name])}


def test_the_package_itself_imports_nothing_heavy() -> None:
    code = "import sys, translator, translator.inspection; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=environment(), check=False).returncode == 0


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_stands_alone(script: Path) -> None:
    assert script.stem not in sys.stdlib_module_names
    tops = {i.split(".")[0] for i in imports(script)}
    assert not tops & {"scripts", *(other.stem for other in SCRIPTS)}


NO_CODE = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING,
    tokenize.ENDMARKER,
}  # fmt: skip


def lines_of_code(path: Path) -> int:
    """Lines of a file that are neither blank nor comment nor docstring."""
    expressions = [node.value for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Expr)]
    texts = [node for node in expressions if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    documentation = {line for text in texts for line in range(text.lineno, (text.end_lineno or 0) + 1)}
    with open(path, "rb") as file:
        tokens = [token for token in tokenize.tokenize(file.readline) if token.type not in NO_CODE]
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - documentation)


def test_lines_of_code_are_counted(tmp_path: Path) -> None:
    text = '"""What\nit does."""\n\nx = (  # why\n    1\n)\n"""What x is."""\n# a remark\ny = """a\nb"""\n'
    (tmp_path / "x.py").write_text(text, encoding="utf-8")
    assert lines_of_code(tmp_path / "x.py") == 5


def test_it_can_be_read_in_an_evening() -> None:
    path = ORDER[: ORDER.index("translate") + 1]  # from a configuration to a translation
    inside = {name for name in ORDER if name.startswith("inspection.")}
    assert sum(lines_of_code(MODULES[name]) for name in path if name not in {*inside, "export"}) < 3000
    assert sum(lines_of_code(MODULES[name]) for name in inside) < 1500


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_short(script: Path) -> None:
    assert lines_of_code(script) < 60

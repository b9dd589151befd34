"""The documentation is true: its commands work, its links lead somewhere, its picture is of this code."""

from __future__ import annotations

import re
import shutil
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from docs.draw_architecture import PICTURE, drawn_from, source
from tests import docs
from tests.docs import DOCS, RULES, TWINS, Checkout
from tests.test_hub import Handler
from tests.test_layout import MODULES
from tests.toy import ROOT

PAGES = sorted({*DOCS, *TWINS.values(), "docs/results.md", "CHANGELOG.md", "data/everyday/README.md"})


@contextmanager
def hub() -> Iterator[str]:
    """The address of a Hub on this machine that has the recipes' data sets, a few sentences of each."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_documentation_can_be_followed(
    demo_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with hub() as address:
        checkout = Checkout.make(
            tmp_path / "enko-translator",
            HF_ENDPOINT=address, HF_HOME=str(tmp_path / "hub"), HF_HUB_OFFLINE="0", NO_PROXY="127.0.0.1",
        )  # fmt: skip
        shutil.copytree(demo_run, checkout.path / "runs" / "everyday")
        report, failed = docs.follow_all(docs.read_all(), checkout)
    with capsys.disabled():
        print("", *report, sep="\n")
    assert not failed, "\n".join(failed)


def test_steps_of_every_kind_are_found_with_their_lines() -> None:
    text = "\n".join(
        [
            "# Title", "```sh", "a --b \\", "    c   # why", "", "# only a comment", "d", "```",
            "```", "output", "```", "```", "$ e", "1", "$ f", "```", "```python", "x = 1  # one", "```",
            "```diff", "-x", "```",
        ]
    )  # fmt: skip
    assert [(s.line, s.kind, s.text, s.output) for s in docs.read("x.md", text)] == [
        (3, "sh", "a --b c", ""),
        (7, "sh", "d", ""),
        (13, "terminal", "e", "1"),
        (15, "terminal", "f", ""),
        (18, "python", "x = 1\n", ""),
        (21, "diff", "-x\n", ""),
    ]


def test_what_is_wrong_fails_and_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "translator").mkdir()
    (tmp_path / "translator" / "code.py").write_text("def f():\n    return 1  # one\n", encoding="utf-8")
    text = "\n".join(
        [
            "```sh", "true", "ls nothing", "false | cat", "pip install x", "```",
            "```", "$ echo a; false", "a", "$ echo a", "b", "```",
            "```python", "return 1", "```", "```python", "return 2", "```",
            "```diff", "--- a/absent.py", "+++ b/absent.py", "@@ -1 +1 @@", "-a", "+b", "```",
        ]
    )  # fmt: skip
    report, failed = docs.follow_all(docs.read("x.md", text), Checkout(tmp_path, {"PATH": "/usr/bin:/bin"}))
    assert [line.split(" ")[0] for line in failed] == ["x.md:3:", "x.md:4:", "x.md:10:", "x.md:17:", "x.md:20:"]
    assert "No such file" in failed[0] and "prints\na\nand not\nb" in failed[2]
    assert report[0] == "3 as they stand:" and report[-1] == "5 failed"
    assert any("x.md:5: pip install x  (wants the network" in line for line in report)


def test_every_rule_is_needed() -> None:
    asked = [docs.rule_for(step) for step in docs.read_all()]
    assert [rule for rule in RULES if rule not in asked] == []


@pytest.mark.parametrize("english", TWINS)
def test_a_korean_twin_has_the_same_commands_and_programs(english: str) -> None:
    first, second = docs.read_all([english]), docs.read_all([TWINS[english]])
    assert [(s.kind, s.text, s.output) for s in first] == [(s.kind, s.text, s.output) for s in second]


@pytest.mark.parametrize("file", PAGES)
def test_every_link_leads_somewhere(file: str) -> None:
    page = ROOT / file
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", text)
    links += [(path, "") for path in re.findall(r'(?:src|href)="([^"]*)"', text)]
    for path, anchor in links:
        target = page.parent / path if path else page
        assert target.exists(), f"{file}: {path}"
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in slugs, f"{file}: {path}#{anchor}"


def test_the_picture_of_the_architecture_is_of_this_code() -> None:
    assert drawn_from(PICTURE) == source(), "draw it anew: python -m docs.draw_architecture"


def test_the_architecture_names_every_file() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = re.findall(r"^\| `([\w/]+)\.py` \|", text, re.MULTILINE)
    assert sorted(named) == sorted(name.replace(".", "/") for name in MODULES)


def test_one_version_everywhere() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

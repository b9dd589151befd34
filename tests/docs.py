"""The documentation read as a program: its commands, examples and patches, in order, and what becomes of each.

In Markdown, fenced blocks are told apart by what they are:

- `sh`: commands, run one by one;
- a block that begins with `$ `: commands as typed at a terminal, each with all that it prints, which is compared;
- `python`, `py`: with an import, a program, which is run; else lines quoted from the code, which must stand there;
- `diff`: a patch, which must apply; what comes after sees it applied.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sysconfig
import venv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.request import ProxyHandler, build_opener

from tests.toy import ROOT

DOCS = ["README.md", "docs/attention.md", "docs/attention-bundle.md", "CONTRIBUTING.md", "docs/architecture.md"]
"""What is run, in this order: each as it would be followed by somebody who has followed those before."""
TWINS = {"README.md": "README.ko.md", "docs/attention.md": "docs/attention.ko.md"}
"""Korean twins: the same commands and programs but for their comments, so they need not be run again."""

HOME = "/home/me/enko-translator"
"""How the documentation calls the folder of the project where a message has its full name."""

Kind = Literal["sh", "terminal", "python", "diff"]


@dataclass(frozen=True)
class Step:
    """A command, program or patch of the documentation."""

    file: str
    line: int
    """Where it begins."""
    kind: Kind
    text: str
    """Without comments; a command that goes over several lines is one."""
    output: str = ""
    """What the terminal shows after it."""

    def __str__(self) -> str:
        first = self.text.splitlines()[0]
        return f"{self.file}:{self.line}: {first if self.kind in ('sh', 'terminal') else self.kind}"


@dataclass(frozen=True)
class Rule:
    """Commands that cannot be run as they stand."""

    pattern: str
    instead: str | None
    """What is run in their place, as `re.sub` has it; None: nothing."""
    why: str


SHORT = "train.max_steps=20 validation.decode_size=20"
RULES = [
    Rule(r"^make demo( PIP_ARGS=.*)?$", "make -o .venv/core.done demo", "all is installed; trained before"),
    Rule(r"^make (test|test-slow|docs-check|lint)$", r"make -n \1", "CI runs it"),
    Rule(r"^(\S*python -m pytest)$", r"\1 --collect-only -q", "CI runs it"),
    Rule(r"^python3 -m venv|\bpip install\b", None, "wants the network; `make test` has installed the same"),
    Rule(
        r"^python docs/experiments\.py (no-.*|small|characters)$",
        None,
        "trains for minutes; tests/test_experiments.py does it for six steps",
    ),
    Rule(r"^torchrun ", None, "wants several GPUs; tests/test_distributed.py trains with two processes"),
    Rule(r"^(\S*python scripts/train\.py (?!configs/everyday\.yaml$).*)$", rf"\1 {SHORT}", "trains for minutes"),
    Rule(r"^python scripts/translate\.py runs/everyday$", r"echo Hello. | \g<0>", "a prompt wants a terminal"),
    Rule(r"^python scripts/serve\.py runs/everyday$", r"\g<0> --port 0", "asked for its page, then stopped"),
]
"""The first that fits a command of an `sh` block holds."""


def read(file: str, text: str) -> list[Step]:
    """All steps of a Markdown file."""
    return [step for line, kind, block in _blocks(text.splitlines()) for step in _steps(file, line, kind, block)]


def read_all(files: Iterable[str] = DOCS) -> list[Step]:
    """All steps of these files."""
    return [step for file in files for step in read(file, (ROOT / file).read_text(encoding="utf-8"))]


def _blocks(lines: list[str]) -> Iterator[tuple[int, str, list[str]]]:
    """(number of the first line, what stands after the fence, lines) of each fenced block."""
    fences = [number for number, line in enumerate(lines, start=1) if line.startswith("```")]
    for start, end in zip(fences[::2], fences[1::2], strict=True):
        yield start + 1, lines[start - 1].removeprefix("```"), lines[start : end - 1]


def _steps(file: str, start: int, kind: str, block: list[str]) -> Iterator[Step]:
    if kind == "diff":
        yield Step(file, start, "diff", "\n".join(block) + "\n")
    elif kind in ("python", "py"):
        yield Step(file, start, "python", "\n".join(map(_without_comment, block)) + "\n")
    elif kind == "sh":
        number = start
        for command in re.split(r"(?<!\\)\n", "\n".join(block)):
            if text := _without_comment(re.sub(r"\s*\\\n\s*", " ", command)):
                yield Step(file, number, "sh", text)
            number += command.count("\n") + 1
    elif block and block[0].startswith("$ "):
        typed = [i for i, line in enumerate(block) if line.startswith("$ ")]
        for i, end in zip(typed, [*typed[1:], len(block)], strict=True):
            yield Step(file, start + i, "terminal", block[i].removeprefix("$ "), "\n".join(block[i + 1 : end]))


def _without_comment(line: str) -> str:
    return re.sub(r"(^|\s+)# .*$", "", line)


def rule_for(step: Step) -> Rule | None:
    """The rule that holds for a step; None: it is run as it stands."""
    if step.kind != "sh":
        return None
    return next((rule for rule in RULES if re.search(rule.pattern, step.text)), None)


class FailedError(Exception):
    """A step does not do what the documentation says; the message tells what it did."""


@dataclass
class Checkout:
    """A copy of the project, in which commands run as in a terminal opened there."""

    path: Path
    environment: dict[str, str]

    @classmethod
    def make(cls, path: Path, **environment: str) -> Checkout:
        """Copy what git knows of, as it stands now, with a virtual environment as `make` would have made it."""
        names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
        for name in filter(None, names.decode().split("\0")):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
        venv.create(path / ".venv", symlinks=True)
        packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(path / ".venv")}))
        installed = [str(path), sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        (packages / "installed.pth").write_text("\n".join(installed) + "\n", encoding="utf-8")
        clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        clean["PATH"] = f"{path / '.venv' / 'bin'}{os.pathsep}{clean['PATH']}"
        return cls(path, clean | environment)

    def run(self, *command: str, stdin: str = "") -> str:
        """What a command prints; raises `FailedError` unless it ends well."""
        done = subprocess.run(
            command, cwd=self.path, env=self.environment, input=stdin, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding="utf-8", check=False,
        )  # fmt: skip
        if done.returncode:
            raise FailedError(f"ended with {done.returncode}:\n{done.stdout[-2000:]}")
        return done.stdout

    def shell(self, command: str) -> str:
        """The same for a line typed at the prompt of a shell."""
        return self.run("bash", "-e", "-o", "pipefail", "-c", command)

    def serve(self, command: str) -> None:
        """Start a server, ask for its page, and stop it with Ctrl-C."""
        with subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=self.path, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, encoding="utf-8",
        ) as server:  # fmt: skip
            assert server.stdout
            printed = server.stdout.readline()
            address = re.search(r"http://\S+", printed)
            page = build_opener(ProxyHandler({})).open(address[0]).read() if address else b""
            server.send_signal(signal.SIGINT)
            printed += server.stdout.read()
        if server.returncode or b"<html" not in page:
            raise FailedError(f"ended with {server.returncode}:\n{printed}")

    def follow(self, step: Step) -> Rule | None:
        """Do what a step says, or what its rule says instead; returns that rule. Raises `FailedError`."""
        rule = rule_for(step)
        if rule and rule.instead is None:
            return rule
        if step.kind == "diff":
            self.run("git", "apply", "-", stdin=step.text)
        elif step.kind == "python" and re.search(r"^(import|from) ", step.text, re.MULTILINE):
            self.run(str(self.path / ".venv" / "bin" / "python"), "-", stdin=step.text)
        elif step.kind == "python":
            self.find(step.text)
        elif step.kind == "terminal":
            printed = self.run("bash", "-c", f"{step.text} || true").strip().replace(str(self.path), HOME)
            if printed != step.output.strip():
                raise FailedError(f"prints\n{printed}\nand not\n{step.output}")
        else:
            command = re.sub(rule.pattern, rule.instead or "", step.text) if rule else step.text
            (self.serve if "scripts/serve.py" in command else self.shell)(command)
        return rule

    def find(self, quoted: str) -> None:
        """Lines quoted from the code must stand there, comments aside; a quotation may begin within a line."""
        files = [*self.path.glob("translator/**/*.py"), *self.path.glob("docs/*.py")]
        code = [path.read_text(encoding="utf-8") for path in files]
        for line in filter(None, map(str.strip, quoted.splitlines())):
            if not any(line in text for text in code):
                raise FailedError(f"stands in no file of translator/: {line}")


def follow_all(steps: Iterable[Step], checkout: Checkout) -> tuple[list[str], list[str]]:
    """Follow all steps, also after one has failed; returns what was done, a line a step, and what failed."""
    done: dict[str, list[str]] = {"as they stand": [], "otherwise": [], "not run": []}
    failed = []
    for step in steps:
        try:
            rule = checkout.follow(step)
        except FailedError as error:
            failed.append(f"{step}\n{error}")
            continue
        if rule is None:
            done["as they stand"].append(str(step))
        elif rule.instead is None:
            done["not run"].append(f"{step}  ({rule.why})")
        else:
            done["otherwise"].append(f"{step}  ->  {re.sub(rule.pattern, rule.instead, step.text)}  ({rule.why})")
    report = []
    for how, lines in done.items():
        report += [f"{len(lines)} {how}:", *(f"  {line}" for line in lines)]
    return [*report, f"{len(failed)} failed"], failed

"""A trained system as a folder, the same for this project and its peers, so that one command compares them all.

    system.json            what was trained, on what, for how long
    curve.jsonl            {"minutes": …, "chrF++": …} at each validation
    translations/NAME.ko   greedy translations of the first `LINES` lines of the corpus NAME, a line each

Needs the standard library alone: it is used in the peers' environments too.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

VALIDATION = ("jhe_dev", "park_news_dev")
TESTS = ("tatoeba_test", "jhe_eval", "pud", "park_news_test")
LINES = 300
"""Sentences of each file that are translated, and validation sentences while training."""


@dataclass
class System:
    """What was trained."""

    name: str
    """The recipe, or the toolkit, with its settings."""
    track: str
    pairs: int
    """Training pairs."""
    parameters: int
    minutes: float
    steps: int
    tokens: int
    """Target tokens seen, end marks among them, padding not."""
    machine: str
    nats_per_character: dict[str, float] = field(default_factory=dict)
    """Validation cross-entropy of each validation file, where it was measured."""

    def save(self, folder: Path) -> None:
        """Write system.json."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), ensure_ascii=False, indent=2)
        (folder / "system.json").write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> System:
        """Read system.json."""
        return cls(**json.loads((folder / "system.json").read_text(encoding="utf-8")))


def add_to_curve(folder: Path, minutes: float, chrf: float) -> None:
    """Append a validation to curve.jsonl."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "curve.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps({"minutes": round(minutes, 3), "chrF++": round(chrf, 3)}) + "\n")


def read_curve(folder: Path) -> list[tuple[float, float]]:
    """(minutes, chrF++) of each validation."""
    rows = [json.loads(line) for line in read_lines(folder / "curve.jsonl")]
    return [(row["minutes"], row["chrF++"]) for row in rows]


def write_lines(path: Path, lines: Sequence[str]) -> None:
    """A file of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(" ".join(line.split()) + "\n" for line in lines), encoding="utf-8")


def read_lines(path: Path) -> list[str]:
    """The lines of a file."""
    return path.read_text(encoding="utf-8").split("\n")[:-1]


def machine(threads: int) -> str:
    """The processor and the threads in use, for the table."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{(names or [platform.processor() or platform.machine()])[0]}, {threads} of {os.cpu_count()} cores"

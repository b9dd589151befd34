"""How long a corpus takes from raw file to ready-to-train, and how much memory: cold, and again from the cache.

    python benchmarks/corpus.py --corpora DIR [--pairs 1000000]

DIR holds files of english<TAB>korean lines (compressed will do). Their pairs are repeated, each time with a word
of another sentence put in on either side, until there are as many as asked for: text of natural length whose
sentences all differ. What runs is scripts/train_tokenizer.py: reading, cleaning, splitting, both tokenizers (8,000
pieces each) and the ids of all pairs. Memory is what all its processes hold for themselves, at its peak.
"""

from __future__ import annotations

import argparse
import itertools
import random
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Write the corpus, prepare it twice, print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", required=True, help="folder of files of english<TAB>korean lines")
    parser.add_argument("--pairs", type=int, default=1_000_000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        characters = write_corpus(args.corpora, args.pairs, folder / "big.tsv")
        print(f"{args.pairs:,} pairs, {characters / args.pairs:.0f} characters a pair on both sides")
        (folder / "big.yaml").write_text("data: {sources: big.tsv, validation_share: 0.001}\n", encoding="utf-8")
        for title in ("cold", "warm"):
            seconds, private, anonymous = measure(
                "scripts/train_tokenizer.py", folder / "big.yaml", f"run_dir={folder}/run"
            )
            print(
                f"{title}: {seconds:.1f} s, peak private memory {private / 2**20:,.0f} MiB, "
                f"of what no file backs {anonymous / 2**20:,.0f} MiB",
                flush=True,
            )


def write_corpus(corpora: str, count: int, path: Path) -> int:
    """`count` pairs that all differ, from the pairs of every file in `corpora`; returns their characters."""
    from translator.config import SourceConfig
    from translator.corpus import read_pairs

    pairs = read_pairs(SourceConfig(path=corpora))
    rng = random.Random(0)
    characters = 0
    with open(path, "w", encoding="utf-8") as file:
        for number, sides in enumerate(itertools.islice(itertools.cycle(pairs), count)):
            other = pairs[rng.randrange(len(pairs))]
            changed = [
                _insert(a, b, rng) if number >= len(pairs) else a for a, b in zip(sides, other, strict=True)
            ]
            file.write("\t".join(changed) + "\n")
            characters += sum(map(len, changed))
    return characters


def _insert(sentence: str, other: str, rng: random.Random) -> str:
    """`sentence` with a word of `other` at a random place."""
    words = sentence.split()
    words.insert(rng.randrange(len(words) + 1), rng.choice(other.split() or ["x"]))
    return " ".join(words)


def measure(script: str, *arguments: str | Path) -> tuple[float, int, int]:
    """Seconds, and the peaks of the two kinds of `memory` that the script and its children hold (Linux only)."""
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, ROOT / script, *map(str, arguments)], stdout=subprocess.DEVNULL)
    private = anonymous = 0

    def watch() -> None:
        nonlocal private, anonymous
        while process.poll() is None:
            held = [memory(pid) for pid in family(process.pid)]
            private = max(private, sum(own for own, _ in held))
            anonymous = max(anonymous, sum(unbacked for _, unbacked in held))
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    if process.wait() != 0:
        raise SystemExit(f"{script} failed")
    seconds = time.perf_counter() - began
    watcher.join()
    return seconds, private, anonymous


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    try:
        children = [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        ]
    except OSError:
        return []
    return [pid, *(one for child in children for one in family(child))]


def memory(pid: int) -> tuple[int, int]:
    """Bytes of a process that no other one maps, and bytes that no file backs.

    Pages of a mapped file are among the first while they are in memory; the system takes them back when it needs
    the room, so the second are what a machine must have.
    """
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return 0, 0
    sizes = [(line.partition(":")[0], int(line.split()[1]) * 1024) for line in rollup.splitlines()[1:]]
    return sum(n for name, n in sizes if name.startswith("Private_")), dict(sizes).get("Anonymous", 0)


if __name__ == "__main__":
    main()

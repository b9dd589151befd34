"""How long attention maps take, with a trained run already loaded.

    python benchmarks/attention_maps.py runs/everyday --data data/everyday/test.tsv

Prints medians: the data of a sentence of 20 words, written; the same with all pictures in three formats; and how
many sentence pairs a second are aligned by every head, both measures and both readings.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from translator.corpus import read_pairs
from translator.inspection.alignment import align
from translator.inspection.exports import write_bundle
from translator.scoring import AligningHead
from translator.translate import Translator

SENTENCE = (
    "The teacher will go to Busan by train tomorrow because my friends are waiting for the bus at the station."
)


def seconds(function: Callable[[], object], rounds: int = 5) -> float:
    """Median wall-clock seconds of a call."""
    taken = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return median(taken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--data", required=True)
    args = parser.parse_args()
    translator = Translator.load(args.run)
    pairs = read_pairs(args.data)
    pairs = (pairs * (1000 // len(pairs) + 1))[:1000]
    maps = translator.attention(SENTENCE)
    maps.best = maps.best or AligningHead(0, 0)
    print(f"{torch.get_num_threads()} threads; {len(maps.source.ids)} English pieces, {len(maps.reads)} steps")
    with tempfile.TemporaryDirectory() as folder:
        data = seconds(lambda: translator.attention(SENTENCE).save(folder, "x"))
        size = sum(path.stat().st_size for path in Path(folder).iterdir())
        print(f"data: {data:.2f} s, {size / 1e6:.2f} MB")
        whole = seconds(lambda: write_bundle(maps, Path(folder), "x"), rounds=3)
        print(f"data and all pictures in three formats: {whole:.1f} s")
    parts = translator.model, translator.english, translator.korean
    print(f"alignment: {len(pairs) / seconds(lambda: align(*parts, pairs)):.0f} pairs a second")


if __name__ == "__main__":
    main()

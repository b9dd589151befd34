"""Are translations the same whatever the batch, the order, the cache and the threads? And what do others change?

    python benchmarks/decode_invariance.py runs/everyday --sentences english.txt

Everything is compared with batches of 32 in float32. "Ties" are differences between hypotheses whose scores lie
within 1e-4 of each other. Without a cache, greedy search reads its whole sentence again at every step and the
hypotheses of a beam are scored anew by one forced pass.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from translator.batching import pad_and_end
from translator.decoding import Hypothesis, Search, decode_all, forced_logprobs, length_limit, next_logprobs
from translator.model import Transformer
from translator.tokenizer import BOS, EOS

TIE = 1e-4


class Difference(NamedTuple):
    """Between two lists of translations of the same sentences."""

    sentences: int
    """Whose best translation differs."""
    ties: int
    """Of those, with scores within 1e-4 of each other."""
    score: float
    """Greatest distance of the scores of equal translations."""


def difference(one: Sequence[Sequence[Hypothesis]], other: Sequence[Sequence[Hypothesis]]) -> Difference:
    """Compare the best hypotheses."""
    pairs = [(a[0], b[0]) for a, b in zip(one, other, strict=True)]
    gaps = [abs(a.score - b.score) for a, b in pairs if a.ids != b.ids]
    same = [abs(a.score - b.score) for a, b in pairs if a.ids == b.ids]
    return Difference(len(gaps), sum(gap <= TIE for gap in gaps), max(same, default=0.0))


def differences(model: Transformer, sources: list[list[int]], search: Search) -> dict[str, Difference]:
    """What batches, order, threads and the cache change."""

    def translate(order: list[int], batch_size: int) -> list[list[Hypothesis]]:
        found = dict(decode_all(model, [sources[i] for i in order], search, batch_size=batch_size))
        back = {i: found[place] for place, i in enumerate(order)}
        return [back[i] for i in range(len(sources))]

    threads, straight = torch.get_num_threads(), list(range(len(sources)))
    usual = translate(straight, 32)
    found = {f"batches of {size}": difference(translate(straight, size), usual) for size in (1, 2, 7)}
    shuffled = random.Random(0).sample(straight, len(straight))
    found["another order"] = difference(translate(shuffled, 32), usual)
    try:
        for number in (1, 2):
            torch.set_num_threads(number)
            found[f"threads: {number}"] = difference(translate(straight, 32), usual)
    finally:
        torch.set_num_threads(threads)
    if search.beam == 1:
        found["no cache"] = difference([[without_cache(model, source)] for source in sources], usual)
    every = [(i, h) for i, of_sentence in enumerate(usual) for h in of_sentence if h.finished]
    again = dict(forced_logprobs(model, [(sources[i], h.ids) for i, h in every]))
    worst = max(abs(sum(again[place]) - h.logprob) for place, (_, h) in enumerate(every))
    found["one forced pass"] = Difference(0, 0, worst)
    return found


@torch.inference_mode()
def without_cache(model: Transformer, source: list[int]) -> Hypothesis:
    """Greedy search that reads the whole sentence again at every step."""
    ids: list[int] = []
    total = 0.0
    while len(ids) < length_limit(len(source) + 1):
        logprobs = next_logprobs(model(pad_and_end([source]), torch.tensor([[BOS, *ids]]))[0, -1])
        total += logprobs.max().item()
        if (piece := int(logprobs.argmax())) == EOS:
            return Hypothesis(ids, total, total / ((6 + len(ids)) / 6))
        ids.append(piece)
    return Hypothesis(ids, total, total / ((5 + len(ids)) / 6), finished=False)


def main() -> None:
    """Compare on a run; print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run directory")
    parser.add_argument("--sentences", type=Path, required=True, help="file of English sentences, a line each")
    args = parser.parse_args()

    from translator.translate import Translator

    translator = Translator.load(args.run)
    lines = args.sentences.read_text(encoding="utf-8").splitlines()
    sources = [ids for line in lines if (ids := translator.english.encode(line))]
    others = {"torch bfloat16": Translator.load(args.run, precision="bfloat16")}
    for precision in ("float32", "int8"):
        others[f"ctranslate2 {precision}"] = Translator.load(args.run, engine="ctranslate2", precision=precision)
    print(f"{len(sources)} sentences\n\n| beam | | translations that differ | ties | scores differ by |")
    print("|---:|---|---:|---:|---:|")
    for beam in (1, 5):
        search = Search(beam=beam)
        found = differences(translator.fast or translator.model, sources, search)
        usual = dict(decode_all(translator.fast or translator.model, sources, search, batch_size=32))
        for name, other in others.items():
            again = dict(other.exported.decode_all(sources, search) if other.exported else
                         decode_all(other.fast or other.model, sources, search, batch_size=32))  # fmt: skip
            found[name] = difference([again[i] for i in range(len(sources))],
                                     [usual[i] for i in range(len(sources))])  # fmt: skip
        for name, (changed, ties, score) in found.items():
            print(f"| {beam} | {name} | {changed} | {ties} | {score:.1e} |")


if __name__ == "__main__":
    main()

"""From looks to links: which English word each Korean word was made from, and how often that is right.

Shapes: `L` layers, `H` heads, `T` decoder steps, `S` English pieces; `A` Korean words and `E` English ones,
without punctuation, which alignments do not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from translator.attention import capture
from translator.batching import by_length, collate
from translator.checkpoint import RunDirectory
from translator.corpus import Pair
from translator.errors import UserError
from translator.inspection import measures
from translator.inspection.maps import Measure, Reading, captured_by_kind
from translator.inspection.words import Array, Sentence
from translator.model import Transformer
from translator.scoring import AligningHead
from translator.tokenizer import BOS, EOS, Tokenizer, split_words

Method = Literal["argmax", "mutual", "threshold"]
READINGS: tuple[Reading, ...] = ("predicts", "reads")
MEASURES: tuple[Measure, ...] = ("weights", "norms")
BY_GOLD = "alignment error rate"
"""How the head was chosen where there were gold alignments."""

Links = set[tuple[int, int]]
"""(English word, Korean word) pairs of one sentence, by the numbers of `split_words`, from 0."""


@dataclass
class Gold:
    """What an annotator said of one sentence pair."""

    sure: Links
    possible: Links
    """The sure ones among them."""


@dataclass
class AlignmentScore:
    """Percentages over a corpus (Och & Ney 2003): with links A found, S sure and P possible,

    precision |A∩P| / |A|, recall |A∩S| / |S|, error rate 1 − (|A∩S| + |A∩P|) / (|A| + |S|).
    """

    error_rate: float
    precision: float
    recall: float

    @classmethod
    def of_counts(cls, found: float, sure: float, found_sure: float, found_possible: float) -> AlignmentScore:
        """From |A|, |S|, |A∩S| and |A∩P|, each summed over the corpus."""
        return cls(
            error_rate=100 * (1 - (found_sure + found_possible) / (found + sure)) if found + sure else 0.0,
            precision=100 * found_possible / found if found else 100.0,
            recall=100 * found_sure / sure if sure else 100.0,
        )


def score_alignment(found: Sequence[Links], gold: Sequence[Gold]) -> AlignmentScore:
    """Score the links found against the gold ones, sentence by sentence.

    >>> score_alignment([{(0, 0), (1, 2)}], [Gold({(0, 0), (1, 1)}, {(0, 0), (1, 1)})])
    AlignmentScore(error_rate=50.0, precision=50.0, recall=50.0)
    """
    pairs = list(zip(found, gold, strict=True))
    return AlignmentScore.of_counts(
        found=sum(len(links) for links in found),
        sure=sum(len(g.sure) for g in gold),
        found_sure=sum(len(links & g.sure) for links, g in pairs),
        found_possible=sum(len(links & g.possible) for links, g in pairs),
    )


@dataclass
class AlignedPair:
    """What every head says of one sentence pair, word by word."""

    english: list[int]  # E, numbers of the words that are no punctuation
    korean: list[int]  # A
    maps: dict[tuple[Measure, Reading], Array]  # L H A E each, rows sum to 1
    entropy: Array  # L H, of the piece map: nats, mean over the steps
    mark_share: Array  # L H, of the piece map: the share on </s>, mean over the steps

    def links(self, head: AligningHead) -> Links:
        """Hard links of one head, by argmax."""
        weights = self.maps[head.measure, head.reading][head.layer, head.head]
        return hard_links(weights, self.english, self.korean)


def hard_links(
    weights: Array, english: Sequence[int], korean: Sequence[int], method: Method = "argmax", least: float = 0.25
) -> Links:
    """Links that a map (A, E) says: for each Korean word the English one it looks at most ("argmax"), or only
    where that looks back ("mutual"), or all with at least `least` of its look ("threshold").

    `english` and `korean` are the numbers of the words that the columns and rows stand for.
    """
    if not weights.size:
        return set()
    chosen = np.eye(weights.shape[1], dtype=bool)[weights.argmax(1)]
    if method == "mutual":
        chosen &= np.eye(weights.shape[0], dtype=bool)[weights.argmax(0)].T
    elif method == "threshold":
        chosen = weights >= least
    return {(english[e], korean[a]) for a, e in zip(*chosen.nonzero(), strict=True)}


@torch.inference_mode()
def align(
    model: Transformer, english: Tokenizer, korean: Tokenizer, pairs: Sequence[Pair], batch_size: int = 64
) -> list[AlignedPair]:
    """Cross-attention of given translations between words, of every layer and head, both measures and readings.

    Marks and punctuation are left out. Sentences of like length go through the model together.
    """
    sources = [Sentence.of([*english.encode(source), EOS], english) for source, _ in pairs]
    targets = [Sentence.of([BOS, *korean.encode(target), EOS], korean) for _, target in pairs]
    results: dict[int, AlignedPair] = {}
    for rows in by_length([target.ids for target in targets], batch_size):
        batch = collate([(sources[i].ids[:-1], targets[i].ids[1:-1]) for i in rows]).to(model.device)
        with capture(model) as captured:
            model(batch.source, batch.target_in)
        layers = captured_by_kind(model, captured)["cross"]
        weights = torch.stack([seen.weights for seen, _ in layers], dim=1).float().cpu()  # B L H T S
        norms = torch.stack([measures.norms(seen, layer) for seen, layer in layers], dim=1).float().cpu()
        for i, pair in zip(rows, weights.numpy(), strict=True):
            steps, pieces = len(targets[i].ids) - 1, len(sources[i].ids)
            own = pair[:, :, :steps, :pieces]
            share = own[..., -1].mean(-1)
            results[i] = AlignedPair(_counted(sources[i]), _counted(targets[i]), {}, measures.entropy(own), share)
        keys = _members([sources[i] for i in rows], batch.source.size(1), first=0)  # B E S
        for reading in READINGS:
            # Step t reads piece t and predicts piece t + 1.
            queries = _members([targets[i] for i in rows], batch.target_in.size(1), int(reading == "predicts"))
            queries /= queries.sum(-1, keepdim=True).clamp(min=1)  # B A T
            for measure, maps in zip(MEASURES, (weights, norms), strict=True):
                merged = torch.einsum("bat,blhts,bes->blhae", queries, maps, keys)
                merged /= merged.sum(-1, keepdim=True).clamp(min=1e-30)
                for i, words in zip(rows, merged.numpy(), strict=True):
                    shape = len(results[i].korean), len(results[i].english)
                    results[i].maps[measure, reading] = words[..., : shape[0], : shape[1]]
    return [results[i] for i in range(len(pairs))]


def _counted(sentence: Sentence) -> list[int]:
    """Numbers of the words that alignments count."""
    return [number for number, word in enumerate(sentence.words) if not word.punctuation]


def _members(sentences: Sequence[Sentence], length: int, first: int) -> Tensor:
    """Which of `length` places, standing for the pieces from number `first` on, are of which counted word."""
    counted = [[sentence.words[number] for number in _counted(sentence)] for sentence in sentences]
    members = torch.zeros(len(sentences), max(map(len, counted)), length)
    for row, words in enumerate(counted):
        for column, word in enumerate(words):
            members[row, column, [piece - first for piece in word.pieces if piece - first < length]] = 1
    return members


def read_gold(path: str | Path, pairs: Sequence[Pair]) -> list[Gold]:
    """Read gold alignments, a line a pair: `i-j` sure, `ipj` possible, English word first, from 0."""
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such file of alignments")
    lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    if len(lines) != len(pairs):
        raise UserError(f"{path}: {len(lines)} alignments cannot belong to {len(pairs)} sentence pairs")
    gold = []
    for number, (line, (english, korean)) in enumerate(zip(lines, pairs, strict=True), start=1):
        sizes = len(split_words(english)), len(split_words(korean))
        sure: Links = set()
        possible: Links = set()
        for link in line.split():
            found = re.fullmatch(r"(\d+)([-p])(\d+)", link)
            if not found or int(found[1]) >= sizes[0] or int(found[3]) >= sizes[1]:
                raise UserError(
                    f"{path}, line {number}: {link} is no link (wanted: i-j or ipj, from 0, of {sizes[0]} English "
                    f"and {sizes[1]} Korean words)"
                )
            (sure if found[2] == "-" else possible).add((int(found[1]), int(found[3])))
        gold.append(Gold(sure, sure | possible))
    return gold


def pharaoh(links: Links) -> str:
    """A line of links in Pharaoh format.

    >>> pharaoh({(2, 1), (0, 0)})
    '0-0 2-1'
    """
    return " ".join(f"{english}-{korean}" for english, korean in sorted(links))


def head_scores(aligned: Sequence[AlignedPair], gold: Sequence[Gold]) -> dict[AligningHead, AlignmentScore]:
    """The score of every layer, head, measure and reading by itself."""
    layers, heads = aligned[0].maps["weights", "predicts"].shape[:2]
    places = product(MEASURES, READINGS, range(layers), range(heads))
    every = [AligningHead(layer, head, reading, measure, BY_GOLD) for measure, reading, layer, head in places]
    return {head: score_alignment([pair.links(head) for pair in aligned], gold) for head in every}


def learning_curves(
    directory: RunDirectory, pairs: Sequence[Pair], gold: Sequence[Gold], head: AligningHead
) -> dict[str, list[float]]:
    """How `head` came to align: its error rate (%), entropy (nats) and share on </s> at each snapshot of a run."""
    english, korean = directory.tokenizer("en"), directory.tokenizer("ko")
    curves: dict[str, list[float]] = {"step": [], "error_rate": [], "entropy": [], "mark_share": []}
    place = head.layer, head.head
    for step, name in directory.snapshots():
        aligned = align(directory.load_model(name), english, korean, pairs)
        curves["step"].append(step)
        curves["error_rate"].append(score_alignment([pair.links(head) for pair in aligned], gold).error_rate)
        curves["entropy"].append(float(np.mean([pair.entropy[place] for pair in aligned])))
        curves["mark_share"].append(float(np.mean([pair.mark_share[place] for pair in aligned])))
    return curves


def head_table(scores: dict[AligningHead, AlignmentScore]) -> str:
    """Error rates in per cent as text: layers down, heads across, a block for each measure and reading."""
    layers, heads = (max(getattr(place, axis) for place in scores) + 1 for axis in ("layer", "head"))
    blocks = list(product(MEASURES, READINGS))
    width = max(7 * heads, 18)
    lines = ["AER       " + "   ".join(f"{f'{measure}, {reading}':>{width}}" for measure, reading in blocks)]
    for layer in range(layers):
        cells = [
            "".join(
                f"{scores[AligningHead(layer, head, reading, measure)].error_rate:7.1f}" for head in range(heads)
            )
            for measure, reading in blocks
        ]
        lines.append(f"layer {layer + 1:<3} " + "   ".join(f"{cell:>{width}}" for cell in cells))
    return "\n".join(lines)


def score_table(scores: dict[str, AlignmentScore]) -> str:
    """Error rate, precision and recall as text, a line a name."""
    lines = [f"{'':<66}    AER precision recall"]
    lines += [f"{name:<66} {s.error_rate:6.1f} {s.precision:9.1f} {s.recall:6.1f}" for name, s in scores.items()]
    return "\n".join(lines)


def baselines(aligned: Sequence[AlignedPair], gold: Sequence[Gold]) -> dict[str, AlignmentScore]:
    """What needs no head to be chosen, and the best that one link a Korean word can be."""
    found = {"one perfect link a Korean word": score_alignment(list(map(_perfect, aligned, gold)), gold)}
    chance = np.zeros(4)  # what linking each Korean word to any English one finds, on average
    for pair, wanted in zip(aligned, gold, strict=True):
        links = set(product(pair.english, pair.korean))
        hits = np.array([len(links), 0, len(links & wanted.sure), len(links & wanted.possible)])
        chance += hits / max(len(pair.english), 1) + [0, len(wanted.sure), 0, 0]
    found["uniform (chance)"] = AlignmentScore.of_counts(*chance.tolist())
    found["diagonal"] = score_alignment(list(map(_diagonal, aligned)), gold)
    for measure, reading in product(MEASURES, READINGS):
        for name, layers in (("all layers", slice(None)), ("last layer", slice(-1, None))):
            means = [
                hard_links(pair.maps[measure, reading][layers].mean((0, 1)), pair.english, pair.korean)
                for pair in aligned
            ]
            found[f"mean of heads, {name}, {measure}, {reading}"] = score_alignment(means, gold)
    return found


def _perfect(pair: AlignedPair, gold: Gold) -> Links:
    """A sure link for each Korean word where there is one, else a possible one, else a wrong one."""
    right = {
        korean: (english, korean) for links in (gold.possible, gold.sure) for english, korean in sorted(links)
    }
    return {right.get(korean, (-1, korean)) for korean in pair.korean}


def _diagonal(pair: AlignedPair) -> Links:
    """Each Korean word with the English one as far through its sentence."""
    if not pair.english:
        return set()
    places = np.linspace(0, len(pair.english) - 1, len(pair.korean)).round().astype(int)
    return {(pair.english[place], korean) for place, korean in zip(places, pair.korean, strict=True)}

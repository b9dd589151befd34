"""How good the translations of a file are, how sure that is, which of two systems is better, where they fail.

A corpus-level score is a formula over sums of counts, a row of counts a sentence. With the rows at hand any choice
of sentences is soon scored: all of them, each by itself, those of one length, or a thousand resamples.

Shapes: `N` sentences, `K` counts of one, `R` resamples.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from translator.corpus import Pair
from translator.errors import UserError

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

RESAMPLES = 1000
SEED = 12345
"""The same for every system, so that systems scored on one file are resampled alike."""

LENGTHS = (5, 10, 20, 40)
"""English words of the longest sentence in each class of length but the last."""

SHOWN = 10
"""Best sentences, and worst, that are shown."""


@dataclass(frozen=True)
class Measure:
    """One score: the counts of each sentence, and what becomes of their sum."""

    name: str
    signature: str
    """What sacreBLEU needs to know to repeat it; empty where sacreBLEU has no part in it."""
    counts: np.ndarray
    """(N, K)"""
    formula: Callable[[np.ndarray], float]
    """(K) sums of counts → the score, 0 to 100."""

    def of(self, rows: slice | np.ndarray = slice(None)) -> float:
        """The score of these sentences as one corpus; by default of all."""
        return self.formula(self.counts[rows].sum(axis=0))

    @cached_property
    def each(self) -> np.ndarray:
        """(N,): the score of each sentence by itself."""
        return np.array([self.formula(row) for row in self.counts])

    @cached_property
    def resampled(self) -> np.ndarray:
        """(R,): scores of corpora of N sentences drawn from these with replacement; a number is the same draw for
        every measure and system over N sentences."""
        draw, n = np.random.default_rng(SEED), len(self.counts)
        times = (np.bincount(draw.integers(n, size=n), minlength=n) for _ in range(RESAMPLES))
        return np.array([self.formula(drawn @ self.counts) for drawn in times])

    @property
    def interval(self) -> tuple[float, float]:
        """The middle 95 % of `resampled`: what to expect of other sentences of the kind (Efron's percentiles)."""
        low, high = np.percentile(self.resampled, [2.5, 97.5])
        return float(low), float(high)


@dataclass(frozen=True)
class Comparison:
    """One system's score beside another's, on the same sentences: paired bootstrap resampling (Koehn 2004).

    Both systems are scored on the same `RESAMPLES` resamples of the sentences. `p_better` is the share of them in
    which this system does not score higher than the other, `p_worse` that in which it does not score lower, each
    with one more that speaks against the claim, so that neither is ever 0. Below 0.05 the claim "better", or
    "worse", is significant at 95 %. Two equal systems have 1 for both.
    """

    difference: float
    """This score less the other's."""
    p_better: float
    p_worse: float


def compare(this: Measure, other: Measure) -> Comparison:
    """Whether `this` is better than `other`, the same measure of another system on the same sentences."""
    if len(this.counts) != len(other.counts):
        raise UserError(f"{len(this.counts)} sentences cannot be compared with {len(other.counts)}")
    above = int((this.resampled > other.resampled).sum())
    below = int((this.resampled < other.resampled).sum())
    p_better, p_worse = ((1 + RESAMPLES - wins) / (1 + RESAMPLES) for wins in (above, below))
    return Comparison(this.of() - other.of(), p_better, p_worse)


@dataclass(frozen=True)
class Evaluation:
    """All that is measured of one system's translations of a file."""

    pairs: Sequence[Pair]
    hypotheses: Sequence[str]
    measures: dict[str, Measure]
    """chrF++, BLEU over MeCab-ko morphemes if mecab-ko is installed, BLEU over characters, exact match."""
    length_ratio: float
    """Characters of all translations over those of all references."""
    faults: dict[str, float]
    """Percentage of sentences; see `evaluate`."""

    @property
    def chrf(self) -> Measure:
        """The headline. Orders of n-grams that either side has none of do not count in it, so a system that writes
        a lone full stop for every sentence scores up to 12: look at the length ratio too."""
        return self.measures["chrF++"]

    def by_length(self) -> dict[str, tuple[int, float]]:
        """Sentences and their chrF++ for each class of English length in words; classes without sentences are left
        out."""
        words = np.array([len(english.split()) for english, _ in self.pairs])
        number = np.searchsorted(LENGTHS, words)  # of the class
        starts = [1, *(most + 1 for most in LENGTHS)]
        names = [f"{start} to {most}" for start, most in zip(starts, LENGTHS, strict=False)]
        names.append(f"{starts[-1]} or more")
        rows = {name: np.flatnonzero(number == i) for i, name in enumerate(names)}
        return {name: (len(row), self.chrf.of(row)) for name, row in rows.items() if len(row)}

    def best_and_worst(self) -> tuple[list[int], list[int]]:
        """Rows of the `SHOWN` best sentences by chrF++, best first, and of the worst, worst first; no row is in
        both, and equals stay in the file's order."""
        order = np.argsort(-self.chrf.each, kind="stable").tolist()
        return order[:SHOWN], order[: SHOWN - 1 : -1][:SHOWN]


def evaluate(
    pairs: Sequence[Pair], hypotheses: Sequence[str], finished: Sequence[bool] | None = None
) -> Evaluation:
    """Measure the translations of the English of `pairs` against the Korean.

    The faults are percentages of the sentences:

    - *empty*: nothing was written though the English has words;
    - *over-long*: the search was cut off at its length limit; `finished` tells of each sentence whether it was not
      (without it, the fault is left out);
    - *repeating*: two characters or more, a letter among them, stand three times or more in a row, spaces aside,
      and in the reference nothing does;
    - *untranslated*: a word of two Latin letters or more was left as it stands in the English, whatever the case,
      and is not in the reference.
    """
    if len(hypotheses) != len(pairs):
        raise UserError(f"{len(hypotheses)} translations cannot be scored against {len(pairs)} references")
    if not pairs:
        raise UserError("there are no sentences to score")
    references = [korean for _, korean in pairs]

    def share(faulty: Sequence[bool]) -> float:
        return 100 * sum(faulty) / len(pairs)

    triples = [(english, korean, found) for (english, korean), found in zip(pairs, hypotheses, strict=True)]
    faults = {"empty": share([bool(english.strip()) and not found.strip() for english, _, found in triples])}
    if finished is not None:
        faults["over-long"] = share([not whole for whole in finished])
    faults["repeating"] = share([repeats(found) and not repeats(korean) for _, korean, found in triples])
    faults["untranslated"] = share(
        [
            bool(latin_words(found) & latin_words(english) - latin_words(korean))
            for english, korean, found in triples
        ]
    )
    ratio = sum(map(len, hypotheses)) / max(1, sum(map(len, references)))
    return Evaluation(pairs, hypotheses, measures(hypotheses, references), ratio, faults)


def metrics() -> dict[str, CHRF | BLEU]:
    """sacreBLEU's, by the names used here, chrF++ first; where mecab-ko is not installed its BLEU is left out."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    found: dict[str, CHRF | BLEU] = {"chrF++": CHRF(word_order=2)}
    with contextlib.suppress(ImportError, RuntimeError):
        found["BLEU ko-mecab"] = BLEU(tokenize="ko-mecab")
    found["BLEU char"] = BLEU(tokenize="char")
    return found


def measures(hypotheses: Sequence[str], references: Sequence[str]) -> dict[str, Measure]:
    """chrF++, BLEU over MeCab-ko morphemes, BLEU over characters, and exact match, by name, with sacreBLEU's own
    counts of each sentence."""

    def formula_of(metric: CHRF | BLEU) -> Callable[[np.ndarray], float]:
        return lambda sums: float(metric._compute_score_from_stats(sums.tolist()).score)

    found = {}
    for name, metric in metrics().items():
        # No public names give the counts, and the score of their sums.
        counts = np.array(metric._extract_corpus_statistics(list(hypotheses), [list(references)]))
        found[name] = Measure(name, str(metric.get_signature()), counts, formula_of(metric))
    same = np.array([[h == r, 1] for h, r in zip(hypotheses, references, strict=True)])
    found["exact match"] = Measure("exact match", "", same, lambda sums: float(100 * sums[0] / sums[1]))
    return found


_THREE_IN_A_ROW = re.compile(r"(..+?)\1\1", re.DOTALL)
_LATIN = re.compile(r"[A-Za-z]{2,}")


def repeats(text: str) -> bool:
    """Whether two characters or more, a letter among them, stand three times in a row, spaces aside.

    >>> [repeats(text) for text in ("나는 나는 나는 간다.", "정말 정말 좋아요.", "1,000,000,000원", "아니......")]
    [True, False, False, False]
    """
    return any(any(map(str.isalpha, match[1])) for match in _THREE_IN_A_ROW.finditer("".join(text.split())))


def latin_words(text: str) -> set[str]:
    """Runs of two Latin letters or more, in lower case.

    >>> sorted(latin_words("Python을 쓰는 A씨와 KBS"))
    ['kbs', 'python']
    """
    return {word.lower() for word in _LATIN.findall(text)}


def to_json(this: Evaluation, other: Evaluation | None = None) -> dict[str, dict[str, Any]]:
    """Everything, by name; with `other`, each measure beside that system's."""
    figures: dict[str, dict[str, Any]] = {}
    for name, measure in this.measures.items():
        figures[name] = {"score": measure.of(), "signature": measure.signature, "interval": measure.interval}
        if other:
            against, found = other.measures[name], compare(measure, other.measures[name])
            figures[name]["against"] = {"score": against.of(), "interval": against.interval, **vars(found)}
    figures["chrF++"]["by English words"] = {
        name: {"sentences": count, "score": score} for name, (count, score) in this.by_length().items()
    }
    each = this.chrf.each
    for name, rows in zip(("best", "worst"), this.best_and_worst(), strict=True):
        figures["chrF++"][name] = [
            {
                "sentence": row + 1,
                "score": float(each[row]),
                "English": this.pairs[row][0],
                "reference": this.pairs[row][1],
                "translation": this.hypotheses[row],
            }
            for row in rows
        ]
    for name, share in {"length ratio": this.length_ratio, **this.faults}.items():
        figures[name] = {"score": share, "signature": ""}
    return figures


def summary(this: Evaluation, other: Evaluation | None = None) -> str:
    """The scores as a table, what is wrong with the translations, and the signatures; with `other`, its scores
    beside, and whether the difference is more than chance."""
    lines = []
    if other:
        lines.append(f"  {'':<14}{'this run':^20}  {'the other':^20}  {'difference':>10}  {'p':>6}")
    for name, measure in this.measures.items():
        line = f"  {name:<14}{_scored(measure)}"
        if other:
            found = compare(measure, other.measures[name])
            p = min(found.p_better, found.p_worse)
            line += f"  {_scored(other.measures[name])}  {found.difference:>+10.2f}  {p:>6.3f}"
        lines.append(line.rstrip())
    faults = ", ".join(f"{name} {share:.1f} %" for name, share in this.faults.items())
    lines.append(f"  length ratio {this.length_ratio:.2f}, {faults}")
    lines += [f"  {measure.signature}" for measure in this.measures.values() if measure.signature]
    return "\n".join(lines)


def details(this: Evaluation) -> str:
    """chrF++ by the length of the English, and the best and the worst sentences."""
    lines = ["  English words   sentences   chrF++"]
    lines += [f"  {name:<13}{count:>12,}{score:>9.2f}" for name, (count, score) in this.by_length().items()]
    each = this.chrf.each
    for title, rows in zip(("Best", "Worst"), this.best_and_worst(), strict=True):
        lines += ["", f"  {title} sentences: number, chrF++; English, reference, translation"]
        for row in rows:
            english, korean = this.pairs[row]
            lines += [f"  {row + 1:>6}{each[row]:>8.1f}  {english}", f"{'':18}{korean}"]
            lines.append(f"{'':18}{this.hypotheses[row]}".rstrip())
    return "\n".join(lines)


def _scored(measure: Measure) -> str:
    low, high = measure.interval
    return f"{measure.of():6.2f} {f'({low:.1f}–{high:.1f})':<13}"

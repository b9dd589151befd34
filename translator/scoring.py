"""How good translations are: chrF++ first, BLEU beside it, always with sacreBLEU's signature (Post 2018)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

from translator.errors import UserError


@dataclass
class Score:
    """One corpus-level figure."""

    name: str
    value: float
    signature: str
    """What sacreBLEU needs to know to repeat it; empty for exact match."""


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """chrF++ (Popović 2017), 0 to 100: character 6-grams and word 2-grams, so Korean spacing counts too."""
    from sacrebleu.metrics.chrf import CHRF

    return float(CHRF(word_order=2).corpus_score(list(hypotheses), [list(references)]).score)


def score(hypotheses: Sequence[str], references: Sequence[str]) -> list[Score]:
    """chrF++, BLEU over MeCab-ko morphemes, BLEU over characters, and the share of exact matches.

    Where mecab-ko is not installed its BLEU is left out.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    if len(hypotheses) != len(references):
        raise UserError(f"{len(hypotheses)} translations cannot be scored against {len(references)} references")
    metrics: dict[str, CHRF | BLEU] = {"chrF++": CHRF(word_order=2)}
    with contextlib.suppress(ImportError, RuntimeError):
        metrics["BLEU ko-mecab"] = BLEU(tokenize="ko-mecab")
    metrics["BLEU char"] = BLEU(tokenize="char")
    scores = []
    for name, metric in metrics.items():
        value = float(metric.corpus_score(list(hypotheses), [list(references)]).score)
        scores.append(Score(name, value, str(metric.get_signature())))
    exact = sum(h == r for h, r in zip(hypotheses, references, strict=True)) / max(len(references), 1)
    return [*scores, Score("exact match", 100 * exact, "")]

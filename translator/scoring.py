"""How good translations are: chrF++ first, BLEU beside it, always with sacreBLEU's signature (Post 2018).

And which head of cross-attention is the one to look at."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from translator.attention import capture
from translator.batching import Example, collate
from translator.errors import UserError
from translator.model import Transformer
from translator.tokenizer import EOS


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


@dataclass(frozen=True)
class AligningHead:
    """The head of cross-attention whose looks best tell which English word a Korean word is of."""

    layer: int
    """From 0, as is `head`."""
    head: int
    reading: str = "predicts"
    """Whether a decoder row counts for the piece it "predicts" or the one it "reads"."""
    measure: str = "weights"
    """Of the raw "weights", or of "norms"."""
    chosen_by: str = "mutual information"
    """Or "alignment error rate", where gold alignments were at hand."""


@torch.inference_mode()
def aligning_head(model: Transformer, examples: Sequence[Example], batch_size: int = 64) -> tuple[int, int]:
    """(layer, head), from 0, of the cross-attention that best tells which English piece a Korean piece is of.

    No gold alignment is needed: over many sentences, a head that translates looks at *student* whenever it
    predicts 학생, so its piece predicted and its piece most looked at say much about each other; a head that
    looks at a fixed place, or anywhere, has them unrelated. The head with the largest mutual information wins.
    """
    device = next(model.parameters()).device
    predicted: list[Tensor] = []
    attended: list[list[list[Tensor]]] = []  # of each batch, layer and head
    for start in range(0, len(examples), batch_size):
        batch = collate(examples[start : start + batch_size]).to(device)
        with capture(model) as captured:
            model(batch.source, batch.target_in)
        real = batch.target_out > EOS  # B T
        predicted.append(batch.target_out[real])
        layers = [calls[0].weights for name, calls in captured.items() if name.endswith("cross_attention")]
        attended.append(
            [
                [batch.source.gather(1, weights[:, head].argmax(dim=-1))[real] for head in range(weights.size(1))]
                for weights in layers
            ]
        )
    korean = torch.cat(predicted)
    scores = {
        (layer, head): mutual_information(torch.cat([part[layer][head] for part in attended]), korean)
        for layer in range(len(attended[0]))
        for head in range(len(attended[0][layer]))
    }
    return max(scores, key=lambda place: scores[place])


def mutual_information(a: Tensor, b: Tensor) -> float:
    """Nats that two paired sequences of ids (N each) tell about each other, as counted.

    >>> round(mutual_information(torch.tensor([1, 1, 2, 2]), torch.tensor([5, 5, 6, 6])), 3)
    0.693
    >>> round(mutual_information(torch.tensor([1, 1, 2, 2]), torch.tensor([5, 6, 5, 6])), 3)
    0.0
    """

    def entropy(rows: Tensor) -> float:
        share = torch.unique(rows, dim=0, return_counts=True)[1].double() / len(rows)
        return -float((share * share.log()).sum())

    return entropy(a) + entropy(b) - entropy(torch.stack([a, b], dim=1))

"""How good translations are: chrF++ first, BLEU beside it, always with sacreBLEU's signature (Post 2018).

Beside them, how good alignments are, and which head of cross-attention is the one to look at.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from translator.attention import capture
from translator.batching import Example, collate
from translator.errors import UserError
from translator.model import Transformer
from translator.tokenizer import EOS

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF


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


def metrics() -> dict[str, CHRF | BLEU]:
    """sacreBLEU's, by the names used here, chrF++ first; where mecab-ko is not installed its BLEU is left out."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    found: dict[str, CHRF | BLEU] = {"chrF++": CHRF(word_order=2)}
    with contextlib.suppress(ImportError, RuntimeError):
        found["BLEU ko-mecab"] = BLEU(tokenize="ko-mecab")
    found["BLEU char"] = BLEU(tokenize="char")
    return found


def score(hypotheses: Sequence[str], references: Sequence[str]) -> list[Score]:
    """chrF++, BLEU over MeCab-ko morphemes, BLEU over characters, and the share of exact matches."""
    if len(hypotheses) != len(references):
        raise UserError(f"{len(hypotheses)} translations cannot be scored against {len(references)} references")
    scores = []
    for name, metric in metrics().items():
        value = float(metric.corpus_score(list(hypotheses), [list(references)]).score)
        scores.append(Score(name, value, str(metric.get_signature())))
    exact = sum(h == r for h, r in zip(hypotheses, references, strict=True)) / max(len(references), 1)
    return [*scores, Score("exact match", 100 * exact, "")]


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


@dataclass(frozen=True)
class AligningHead:
    """The head of cross-attention whose looks best tell which English word a Korean word is of."""

    layer: int
    """From 0, as is `head`."""
    head: int
    reading: Literal["predicts", "reads"] = "predicts"
    """Whether a decoder row counts for the piece it "predicts" or the one it "reads"."""
    measure: Literal["weights", "norms"] = "weights"
    """Of the raw "weights", or of "norms"."""
    chosen_by: str = field(default="mutual information", compare=False)
    """Or "alignment error rate", where gold alignments were at hand; or "hand", where a reader asked for it."""

    def __str__(self) -> str:
        return f"layer {self.layer + 1}, head {self.head + 1}, {self.measure}, {self.reading}"


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

"""What training measures at each validation: chrF++, and which head of cross-attention is the one to look at.

The other scores of translations are in evaluation.py, those of alignments in inspection/alignment.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from translator.attention import capture
from translator.batching import Example, by_length, collate
from translator.model import Transformer
from translator.tokenizer import EOS


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """chrF++ (Popović 2017), 0 to 100: character 6-grams and word 2-grams, so Korean spacing counts too."""
    from sacrebleu.metrics.chrf import CHRF

    return float(CHRF(word_order=2).corpus_score(list(hypotheses), [list(references)]).score)


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
    predicted: list[Tensor] = []
    attended: list[list[list[Tensor]]] = []  # of each batch, layer and head
    for rows in by_length([korean for _, korean in examples], batch_size):
        batch = collate([examples[i] for i in rows]).to(model.device)
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

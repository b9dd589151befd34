"""Writing the Korean sentence a piece at a time: greedy and beam search over one cached decoder.

Shapes: `B` sentences, `K` hypotheses a sentence, `S` source length, `V` Korean vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from translator.batching import pad
from translator.model import Transformer
from translator.tokenizer import BOS, EOS, PAD, UNK


@dataclass
class Hypothesis:
    """A Korean sentence the decoder wrote."""

    ids: list[int]
    """Its pieces, without begin and end marks."""
    logprob: float
    """Sum of the log-probabilities of the pieces and the end mark."""
    score: float
    """`logprob` divided by the length penalty: what finished hypotheses are compared by."""
    finished: bool = True
    """False if the length limit cut it off before its end mark."""


def length_limit(source_length: int) -> int:
    """Korean pieces allowed for so many English ones: room for any honest translation, an end to loops."""
    return 10 + 2 * source_length


def length_penalty(length: int, alpha: float) -> float:
    """((5 + length) / 6)^α, the divisor of a hypothesis's log-probability (Wu et al. 2016, equation 14)."""
    return float(((5.0 + length) / 6.0) ** alpha)


def next_logprobs(logits: Tensor) -> Tensor:
    """Log-probabilities of the next piece from (…, V) scores; pieces that no sentence holds get none."""
    never = torch.tensor([UNK, PAD, BOS], device=logits.device)
    return F.log_softmax(logits.float().index_fill(-1, never, -math.inf), dim=-1)


@torch.inference_mode()
def greedy(model: Transformer, source: Tensor, alpha: float = 1.0) -> list[Hypothesis]:
    """Translate (B, S) English ids, ended by EOS and padded, taking the likeliest piece at every step.

    Finished sentences leave the batch, so the rest go faster; each result is what its sentence alone would get.
    """
    memory, cache = model.encode(source), model.new_cache()
    limits = [length_limit(n) for n in memory.padding.sum(dim=(1, 2, 3)).tolist()]
    results = [Hypothesis([], 0.0, 0.0, finished=False) for _ in limits]
    alive = list(range(len(results)))
    newest = torch.full((len(results), 1), BOS, device=source.device)
    while alive:
        logprobs, newest = next_logprobs(model.decode(newest, memory, cache)[:, -1]).max(dim=-1, keepdim=True)
        stay = []
        for row, (i, piece, logprob) in enumerate(
            zip(alive, newest[:, 0].tolist(), logprobs[:, 0].tolist(), strict=True)
        ):
            result = results[i]
            result.logprob += logprob
            if piece == EOS:
                result.finished = True
                continue
            result.ids.append(piece)
            if len(result.ids) < limits[i]:
                stay.append(row)
        if len(stay) < len(alive):
            alive = [alive[row] for row in stay]
            rows = torch.tensor(stay, dtype=torch.long, device=source.device)
            newest, memory = newest[rows], memory.keep(rows)
            cache.select(rows)
            cache.keep(rows)
    for result in results:
        result.score = result.logprob / length_penalty(len(result.ids) + result.finished, alpha)
    return results


@torch.inference_mode()
def beam_search(model: Transformer, source: Tensor, beam: int, alpha: float = 1.0) -> list[list[Hypothesis]]:
    """Keep the `beam` likeliest unfinished sentences at every step; returns for each of the B sentences of
    `source` (B, S) its finished hypotheses, best first, `beam` of them at most. Where there are fewer at the
    length limit, hypotheses cut there come after them.

    At each step the 2K best extensions are ranked. Those among the first K that end are finished; the K best
    that do not end live on. A sentence is done when K hypotheses are finished and none alive could still beat
    the worst of them. `alpha` is the length penalty's.
    """
    memory, cache = model.encode(source), model.new_cache()
    limits = [length_limit(n) for n in memory.padding.sum(dim=(1, 2, 3)).tolist()]
    finished: list[list[Hypothesis]] = [[] for _ in limits]
    alive = list(range(len(limits)))
    texts: list[list[list[int]]] = [[[]] for _ in alive]  # of each sentence, of each live hypothesis
    totals = torch.zeros(len(alive), 1, device=source.device)  # B K, log-probabilities so far
    newest = torch.full((len(alive), 1), BOS, device=source.device)  # B·K 1
    length = 0
    while alive:
        length += 1
        logprobs = next_logprobs(model.decode(newest, memory, cache)[:, -1])  # B·K V
        vocabulary, width = logprobs.size(-1), totals.size(1)
        reached = (totals.unsqueeze(2) + logprobs.view(len(alive), width, vocabulary)).flatten(1)  # B K·V
        best, where = reached.topk(min(2 * beam, reached.size(1)), dim=1)
        stay, rows, pieces, next_totals = [], [], [], []
        next_texts: list[list[list[int]]] = []
        for row, i in enumerate(alive):
            live: list[tuple[int, int, float]] = []
            for rank, (total, place) in enumerate(zip(best[row].tolist(), where[row].tolist(), strict=True)):
                k, piece = divmod(place, vocabulary)
                if piece != EOS:
                    live.append((k, piece, total))
                elif rank < beam and total > -math.inf:  # an end mark outside the beam ends nothing
                    score = total / length_penalty(length, alpha)
                    finished[i].append(Hypothesis(texts[row][k], total, score))
            live = live[:beam]
            finished[i] = sorted(finished[i], key=lambda h: -h.score)[:beam]
            if length >= limits[i]:
                cut = [
                    Hypothesis([*texts[row][k], piece], total, total / length_penalty(length, alpha), False)
                    for k, piece, total in live
                    if total > -math.inf
                ]
                finished[i] = (finished[i] + cut)[:beam]
                continue
            # Log-probabilities only fall, so the best a live one can hope for is its total at full length.
            hope = live[0][2] / length_penalty(limits[i], alpha)
            if len(finished[i]) == beam and finished[i][-1].score >= hope:
                continue
            stay.append(row)
            rows += [row * width + k for k, _, _ in live]
            pieces += [piece for _, piece, _ in live]
            next_totals.append([total for _, _, total in live])
            next_texts.append([[*texts[row][k], piece] for k, piece, _ in live])
        alive, texts = [alive[row] for row in stay], next_texts
        if not alive:
            break
        totals = torch.tensor(next_totals, device=source.device)
        newest = torch.tensor(pieces, device=source.device).unsqueeze(1)
        kept = torch.tensor(stay, device=source.device)
        cache.select(torch.tensor(rows, device=source.device))
        if len(kept) < len(memory.states):
            memory = memory.keep(kept)
            cache.keep(kept)
    return finished


def decode_all(
    model: Transformer, sources: Sequence[list[int]], beam: int = 1, alpha: float = 1.0, batch_size: int = 64
) -> Iterator[tuple[int, list[Hypothesis]]]:
    """Translate many sentences of ids without marks; yields (index, hypotheses, best first) as they are done.

    Sentences of like length go together, the longest first; padding and company change rounding at most.
    """
    device = next(model.parameters()).device
    order = sorted(range(len(sources)), key=lambda i: -len(sources[i]))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        source = pad([[*sources[i], EOS] for i in rows]).to(device)
        if beam == 1:
            found = [[hypothesis] for hypothesis in greedy(model, source, alpha)]
        else:
            found = beam_search(model, source, beam, alpha)
        yield from zip(rows, found, strict=True)

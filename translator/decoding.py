"""Writing the Korean sentence a piece at a time: greedy search, sampling and beam search over one cached decoder.

Shapes: `B` sentences, `K` hypotheses a sentence, `V` Korean vocabulary, `M` tokens in the cache.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from translator.batching import by_length, collate, pad_and_end
from translator.errors import UserError
from translator.model import Transformer
from translator.tokenizer import BOS, EOS, PAD


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


@dataclass(frozen=True)
class Search:
    """How a translation is looked for."""

    beam: int = 1
    """Hypotheses kept at each step, and returned; 1 is greedy."""
    penalty: Literal["gnmt", "average"] = "gnmt"
    """By what a log-probability is divided; see `length_penalty`."""
    alpha: float = 1.0
    """Exponent of the length penalty; 0 compares bare log-probabilities, larger ones favour longer sentences."""
    min_length: int = 0
    """Pieces before the end mark may come."""
    max_length: int | None = None
    """Pieces at most; None: `length_limit` of the English."""
    temperature: float = 0.0
    """0 takes the likeliest piece. Above, pieces are drawn, with log-probabilities divided by it (beam 1 only)."""
    top_k: int = 0
    """Draw among the k likeliest pieces; 0: among all."""
    top_p: float = 1.0
    """Draw among the likeliest pieces that together have this probability (Holtzman et al. 2020)."""
    seed: int = 0
    """What is drawn depends on this and on the English sentence, not on its company."""

    def __post_init__(self) -> None:
        """Check what the types cannot."""
        if self.beam < 1 or (self.beam > 1 and self.temperature > 0):
            raise UserError(f"beam is {self.beam}; it must be at least 1, and exactly 1 with a temperature")
        if self.temperature < 0 or self.top_k < 0 or not 0 < self.top_p <= 1:
            raise UserError("temperature and top_k must not be negative; top_p must be above 0, at most 1")


GREEDY = Search()


def length_limit(source_length: int) -> int:
    """Korean pieces allowed for so many English ones: room for any honest translation, an end to loops."""
    return 10 + 2 * source_length


def length_penalty(length: int, search: Search) -> float:
    """The divisor of the log-probability of `length` pieces, the end mark among them.

    "gnmt": ((5 + length) / 6)^α (Wu et al. 2016, equation 14). "average": length^α, with α = 1 the mean.
    """
    return float((length if search.penalty == "average" else (5.0 + length) / 6.0) ** search.alpha)


def next_logprobs(logits: Tensor) -> Tensor:
    """Log-probabilities of the next piece from (…, V) scores. Pieces that no sentence holds get none: in `logits`
    itself, their scores are set to −∞."""
    logits[..., :EOS] = -math.inf  # UNK, PAD, BOS
    return F.log_softmax(logits.float(), dim=-1)


class Candidate(NamedTuple):
    """A live hypothesis and one more piece."""

    total: float
    """Log-probability so far."""
    parent: int
    """Which of the sentence's live hypotheses."""
    piece: int


@dataclass
class Draft:
    """What is being written for one English sentence."""

    search: Search
    prefix: Sequence[int]
    """Pieces it must begin with."""
    limit: int
    """Pieces at most."""
    dice: random.Random
    live: list[list[int]] = field(default_factory=lambda: [[]])
    """Pieces of each hypothesis still growing, all of one length, the likeliest first."""
    total: float = 0.0
    """Log-probability of that likeliest one."""
    finished: list[Hypothesis] = field(default_factory=list)
    done: bool = False

    def advance(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """One step of beam search. Takes the 2K likeliest candidates, best first; returns the K that live on.

        Those among the first K that end are finished. Of the others there are at least K, since a hypothesis
        ends in one way only. The search is done when K hypotheses are finished ("first come, first served",
        Kasai et al. 2022) or at the length limit, where what lives is cut off. After that nothing changes.
        """
        beam = self.search.beam
        # A drawn end mark leaves nothing; it keeps the place in the batch.
        going = [c for c in candidates if c.piece != EOS][:beam] or list(candidates)
        if self.done:
            return going
        for total, parent, piece in candidates[:beam]:
            if piece == EOS and total > -math.inf:
                self._finish(self.live[parent], total)
        self.live = [[*self.live[parent], piece] for _, parent, piece in going]
        self.total = going[0].total
        self.done = len(self.finished) >= beam
        if not self.done and len(self.live[0]) >= self.limit:
            self.done = True
            for ids, (total, _, _) in zip(self.live, going, strict=True):
                if total > -math.inf:
                    self._finish(ids, total, finished=False)
        return going

    def _finish(self, ids: list[int], total: float, finished: bool = True) -> None:
        score = total / length_penalty(len(ids) + finished, self.search)
        self.finished.append(Hypothesis(ids, total, score, finished))

    def best(self) -> list[Hypothesis]:
        """What was found, best first; those that the limit cut off after all that came to their end."""
        return sorted(self.finished, key=lambda h: (not h.finished, -h.score))[: self.search.beam]

    def likeliest(self) -> Hypothesis:
        """The best of what was found; while the search goes on, the likeliest of what is growing."""
        if self.done:
            return self.best()[0]
        ids = self.live[0]
        return Hypothesis(ids, self.total, self.total / length_penalty(len(ids), self.search), finished=False)


def candidates(logprobs: Tensor, totals: Tensor, drafts: Sequence[Draft], length: int) -> list[list[Candidate]]:
    """The 2K likeliest extensions for each draft, from (B, K, V) log-probabilities of the next piece and (B, K)
    log-probabilities of the `length` pieces so far. Where pieces are drawn, the one that was drawn."""
    search = drafts[0].search
    if length < search.min_length:
        logprobs[..., EOS] = -math.inf
    for row, draft in enumerate(drafts):
        if length < len(draft.prefix):
            forced = logprobs[row, :, draft.prefix[length]].clone()
            logprobs[row] = -math.inf
            logprobs[row, :, draft.prefix[length]] = forced
    if search.temperature > 0:
        best, pieces = draw(logprobs, search, [draft.dice.random() for draft in drafts])
    else:
        best, pieces = logprobs.topk(min(2 * search.beam, logprobs.size(-1)))  # B K 2K, of each hypothesis
    each = best.size(-1)
    best, where = (totals.unsqueeze(-1) + best).flatten(1).topk(min(2 * search.beam, each * best.size(1)))  # B 2K
    pieces = pieces.flatten(1).gather(1, where)
    rows = zip(best.tolist(), (where // each).tolist(), pieces.tolist(), strict=True)
    return [list(map(Candidate, *row)) for row in rows]


def draw(logprobs: Tensor, search: Search, dice: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Draw a piece for each of B sentences: (B, 1, V) and B numbers in [0, 1) → its log-probability, and it."""
    ranked, pieces = logprobs.sort(dim=-1, descending=True)
    shares = (ranked.double() / search.temperature).softmax(dim=-1)
    if search.top_k:
        shares[..., search.top_k :] = 0.0
    shares[shares.cumsum(dim=-1) - shares >= search.top_p * shares.sum(dim=-1, keepdim=True)] = 0.0
    sums = shares.cumsum(dim=-1)
    thrown = torch.tensor(dice, dtype=sums.dtype, device=sums.device).view(-1, 1, 1) * sums[..., -1:]
    drawn = torch.searchsorted(sums, thrown, right=True)  # B 1 1
    return ranked.gather(-1, drawn), pieces.gather(-1, drawn)


@torch.inference_mode()
def write(
    model: Transformer, source: Tensor, search: Search = GREEDY, prefixes: Sequence[list[int]] | None = None
) -> Iterator[list[Draft]]:
    """Translate (B, S) English ids, ended by EOS and padded, step by step; yields the B drafts after each step.

    Drafts that are done leave the batch when they are a quarter of it: to leave is to copy the rest of the cache.
    Each gets what it would get alone.
    """
    memory, cache = model.encode(source), model.new_cache()
    sizes = (source != PAD).sum(dim=1).tolist()
    if min(sizes) == source.size(1):
        memory.padding = None  # nothing to hide
    drafts = []
    for ids, size, prefix in zip(source.tolist(), sizes, prefixes or [[]] * len(sizes), strict=True):
        limit = max(search.max_length or length_limit(size), len(prefix))
        drafts.append(Draft(search, prefix, limit, random.Random(f"{search.seed} {ids[:size]}")))
    alive = drafts
    newest = source.new_full((len(alive), 1), BOS)  # B K, of each live hypothesis; K is 1 in the beginning
    totals = torch.zeros(len(alive), 1, device=source.device)  # B K, log-probabilities so far
    past = None  # B K M, which tokens in the cache are whose; None: the sentence has one hypothesis, all are its
    for length in itertools.count():
        logprobs = next_logprobs(model.decode(newest, memory, cache, past))  # B K V
        found = candidates(logprobs, totals, alive, length)
        going = [draft.advance(extensions) for draft, extensions in zip(alive, found, strict=True)]
        yield drafts
        stay = [row for row, draft in enumerate(alive) if not draft.done]
        if not stay:
            return
        if len(stay) > 0.75 * len(alive):
            stay = list(range(len(alive)))
        rows = torch.tensor(stay, device=source.device)
        if len(stay) < len(alive):
            memory = memory.keep(rows)
            cache.keep(rows)
        alive = [alive[row] for row in stay]
        totals, parents, newest = (
            torch.tensor([[c[i] for c in going[row]] for row in stay], device=source.device) for i in range(3)
        )
        if search.beam > 1:
            past = branch(past, rows, parents)


def branch(past: Tensor | None, rows: Tensor, parents: Tensor) -> Tensor:
    """What the hypotheses that go on from `parents` (B, K) of the sentences `rows` (B) may look at, a mask
    (B, K, M + K): all that their parents could, and themselves."""
    if past is None:  # so far there was only the begin mark
        inherited = parents.new_ones(*parents.shape, 1, dtype=torch.bool)
    else:
        inherited = past[rows.unsqueeze(1), parents]
    itself = torch.eye(parents.size(1), dtype=torch.bool, device=parents.device)
    return torch.cat([inherited, itself.expand(len(rows), -1, -1)], dim=2)


def decode_all(
    model: Transformer,
    sources: Sequence[list[int]],
    search: Search = GREEDY,
    prefixes: Sequence[list[int]] | None = None,
    batch_size: int = 64,
) -> Iterator[tuple[int, list[Hypothesis]]]:
    """Translate many sentences of ids without marks; yields (index, hypotheses, best first) as they are done.

    Sentences of like length go together, the longest first; padding and company change rounding at most.
    `prefixes` are the Korean pieces that each translation must begin with.
    """
    for rows in by_length(sources, batch_size):
        source = pad_and_end([sources[i] for i in rows]).to(model.device)
        *_, drafts = write(model, source, search, prefixes and [prefixes[i] for i in rows])
        yield from ((i, draft.best()) for i, draft in zip(rows, drafts, strict=True))


@torch.inference_mode()
def forced_logprobs(
    model: Transformer, pairs: Sequence[tuple[list[int], list[int]]], batch_size: int = 64
) -> Iterator[tuple[int, list[float]]]:
    """Log-probabilities of given translations, (English, Korean) ids without marks; yields (index, one for each
    Korean piece and the end mark)."""
    for rows in by_length([korean for _, korean in pairs], batch_size):
        batch = collate([pairs[i] for i in rows]).to(model.device)
        logprobs = next_logprobs(model(batch.source, batch.target_in))  # B T V
        found = logprobs.gather(-1, batch.target_out.unsqueeze(-1)).squeeze(-1)
        yield from ((i, values[: len(pairs[i][1]) + 1]) for i, values in zip(rows, found.tolist(), strict=True))

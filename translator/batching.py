"""Batches of sentences of like length, within a budget of tokens, in an order that can be replayed."""

from __future__ import annotations

import hashlib
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from translator.tokenizer import BOS, EOS, PAD

T = TypeVar("T")

Ids = Sequence[int] | np.ndarray
"""Ids of a sentence's pieces, without begin and end marks."""

Example = tuple[Ids, Ids]
"""English ids and Korean ids of a pair."""


class Examples(Sequence[Example]):
    """Tokenised pairs in memory-mapped files: the ids of all sentences of a side end to end, and where each ends.

    However many there are, only the pages that a batch touches are in memory.
    """

    def __init__(self, folder: Path) -> None:
        self._ids = [_mapped(folder / f"{side}.ids", np.uint16) for side in ("en", "ko")]
        self._ends = [_mapped(folder / f"{side}.ends", np.int64) for side in ("en", "ko")]
        self.lengths = np.stack([np.diff(ends, prepend=0) for ends in self._ends], axis=1).astype(np.int32)
        """(N, 2): English and Korean pieces of each pair."""

    @staticmethod
    def write(folder: Path, chunks: Iterable[Sequence[Example]]) -> None:
        """Fill an empty `folder` with the examples of all chunks, in their order."""
        names = ("en.ids", "en.ends", "ko.ids", "ko.ends")
        written = [0, 0]  # ids of each side so far
        with ExitStack() as stack:
            files = [stack.enter_context(open(folder / name, "wb")) for name in names]
            for chunk in chunks:
                for side, sentences in enumerate(zip(*chunk, strict=True)):
                    ends = written[side] + np.cumsum([len(ids) for ids in sentences], dtype=np.int64)
                    np.array([i for ids in sentences for i in ids], np.uint16).tofile(files[2 * side])
                    ends.tofile(files[2 * side + 1])
                    written[side] = int(ends[-1])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, i: int) -> Example:  # type: ignore[override]  # no slices
        """The ids of a pair, as arrays that share the file's memory."""
        if not 0 <= i < len(self):
            raise IndexError(i)
        english, korean = (
            ids[ends[i] - length : ends[i]]
            for ids, ends, length in zip(self._ids, self._ends, self.lengths[i], strict=True)
        )
        return english, korean


def _mapped(path: Path, dtype: type) -> np.ndarray:
    return np.memmap(path, dtype, mode="r") if path.stat().st_size else np.empty(0, dtype)


@dataclass
class Batch:
    """Padded ids of `B` pairs. The decoder reads `target_in` and is to predict `target_out`, one step ahead."""

    source: Tensor  # B S, ends in </s>
    target_in: Tensor  # B T, begins with <s>
    target_out: Tensor  # B T, ends in </s>
    tokens: int
    """Target tokens that are not padding."""

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device; CUDA copies it while it computes what was asked of it before."""

        def move(ids: Tensor) -> Tensor:
            return ids.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else ids.to(device)

        return Batch(move(self.source), move(self.target_in), move(self.target_out), self.tokens)


@dataclass
class TrainingData:
    """Examples, how often each is seen, and how they become batches."""

    examples: Sequence[Example]
    lengths: np.ndarray
    """(N, 2): English and Korean pieces of each example."""
    weights: np.ndarray
    """(N,): how often each stands in an epoch, on average."""
    cut_anew: Callable[[int, int], Example] | None = None
    """Subword sampling: the pieces of example `i` in epoch `e`. The batches are formed by the plain lengths."""

    def order(self, budget: int, seed: int, epoch: int) -> list[list[int]]:
        """The rows of each batch of an epoch; see `epoch_batches`."""
        return epoch_batches(self.lengths, budget, seed, epoch, self.weights)

    def batch(self, rows: Sequence[int], epoch: int) -> Batch:
        """The batch of these rows as they are to be seen in this epoch."""
        if self.cut_anew:
            return collate([self.cut_anew(i, epoch) for i in rows])
        return collate([self.examples[i] for i in rows])


def ahead(items: Iterator[T], count: int) -> Iterator[T]:
    """The same items, up to `count` of them made ahead by another thread while the caller computes."""
    if not count:
        yield from items
        return
    with ThreadPoolExecutor(1) as thread:
        waiting = deque(thread.submit(next, items, None) for _ in range(count))
        while (item := waiting.popleft().result()) is not None:
            waiting.append(thread.submit(next, items, None))
            yield item


def epoch_batches(
    lengths: np.ndarray | Sequence[tuple[int, int]],
    budget: int,
    seed: int,
    epoch: int,
    weights: np.ndarray | Sequence[float] | None = None,
) -> list[list[int]]:
    """Indices of each batch of an epoch: a pure function of its arguments, so that a resumed run sees the same.

    `lengths` are (source, target) counts without marks. Every index occurs once, or as often as its weight
    says: 2.3 is twice, and a third time in 30 % of the epochs. A batch holds as many sentences as fit when
    padded to its longest side; a sentence over the budget is a batch of its own.
    """
    digest = hashlib.sha256(f"{seed} {epoch}".encode()).digest()
    rng = np.random.RandomState(np.frombuffer(digest, np.uint32))  # its stream is the same in every NumPy
    lengths = np.asarray(lengths, np.int64).reshape(-1, 2)
    order = np.arange(len(lengths))
    if weights is not None:
        weights = np.asarray(weights)
        order = np.repeat(order, weights.astype(np.int64) + (rng.random_sample(len(lengths)) < weights % 1))
    rng.shuffle(order)
    source, target = lengths[order].T
    # By the target's length, two lengths together; in these by the source's, back and forth, so that one begins
    # where the one before it ended. Of 65,536 tokens of mixed text a batch 10 % are padding then; with each target
    # length by itself 13 %, without the back and forth more. Stable, so ties stay shuffled.
    bucket = target // 2
    order = order[np.lexsort((target, np.where(bucket % 2, source, -source), bucket))]
    batches: list[list[int]] = []
    width = 0
    widths = lengths.max(axis=1) + 1  # with the end mark
    for i, longest in zip(order.tolist(), widths[order].tolist(), strict=True):
        width = max(width, longest)
        if not batches or width * (len(batches[-1]) + 1) > budget:
            batches.append([])
            width = longest
        batches[-1].append(i)
    random.Random(digest).shuffle(batches)
    return batches


def by_length(sentences: Sequence[Ids], batch_size: int) -> list[list[int]]:
    """Numbers of the sentences in batches of like length, the longest first."""
    order = sorted(range(len(sentences)), key=lambda i: -len(sentences[i]))
    return [order[start : start + batch_size] for start in range(0, len(order), batch_size)]


def collate(examples: Sequence[Example]) -> Batch:
    """Pad examples into one batch."""
    target_out = pad_and_end([target for _, target in examples])
    target_in = torch.full_like(target_out, BOS)
    target_in[:, 1:] = target_out[:, :-1].masked_fill(target_out[:, :-1] == EOS, PAD)  # one step behind
    return Batch(
        source=pad_and_end([source for source, _ in examples]),
        target_in=target_in,
        target_out=target_out,
        tokens=sum(len(target) + 1 for _, target in examples),
    )


def pad_and_end(sentences: Sequence[Ids]) -> Tensor:
    """Sentences of ids as one tensor (B, longest + 1), each followed by the end mark and filled up with PAD."""
    table = np.full((len(sentences), max(map(len, sentences)) + 1), PAD)
    for row, ids in zip(table, sentences, strict=True):
        row[: len(ids)] = ids
        row[len(ids)] = EOS
    return torch.from_numpy(table)

"""How fast other toolkits train a model of the same size on the very batches that benchmarks/train_speed.py times.

    python benchmarks/train_speed.py --corpora DIR --ids F.npz
    python benchmarks/peers/train_speed.py marian --ids F.npz     # in an environment with transformers
    python benchmarks/peers/train_speed.py joeynmt --ids F.npz    # in one with joeynmt

Each in an environment of its own (README.md beside this file), in the same minutes, since machines drift.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

PIECES, PAD, BOS, EOS = 8000, 1, 2, 3
Step = Callable[[Tensor, Tensor], None]
"""Trains on a batch of (B, S) English and (B, T) Korean ids, both ending in </s>."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer", choices=["marian", "joeynmt"])
    parser.add_argument("--ids", required=True, help="what benchmarks/train_speed.py --ids wrote")
    parser.add_argument("--precision", default="bfloat16", choices=["float32", "bfloat16"], help="of MarianMT")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--warm-up", type=int, default=5)
    args = parser.parse_args()

    torch.manual_seed(1)
    step = marian(args.precision == "bfloat16") if args.peer == "marian" else joeynmt()
    speeds = []
    for source, target in islice(batches(args.ids), args.warm_up + args.steps):
        start = time.perf_counter()
        step(source, target)
        speeds.append(int((target != PAD).sum()) / (time.perf_counter() - start))
    print(f"{args.peer}: {median(speeds[args.warm_up :]):,.0f} target tokens/s, padding not counted; median step")


def batches(path: str) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of the epoch, in their order."""
    text = np.load(path)
    sides = [np.split(text[f"{side}.ids"], np.cumsum(text[f"{side}.lengths"])[:-1]) for side in ("en", "ko")]
    for rows in np.split(text["batches.rows"], np.cumsum(text["batches.lengths"])[:-1]):
        source, target = ([[*side[i].tolist(), EOS] for i in rows] for side in sides)
        yield pad(source), pad(target)


def pad(rows: list[list[int]]) -> Tensor:
    return nn.utils.rnn.pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PAD)


def marian(bfloat16: bool) -> Step:
    """Hugging Face MarianMT; its loss is without label smoothing."""
    from transformers import MarianConfig, MarianMTModel

    model = MarianMTModel(
        MarianConfig(
            vocab_size=PIECES, decoder_vocab_size=PIECES, d_model=256, encoder_layers=4, decoder_layers=4,
            encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=1024, decoder_ffn_dim=1024,
            dropout=0.1, activation_dropout=0.1, activation_function="relu", scale_embedding=True,
            pad_token_id=PAD, eos_token_id=EOS, decoder_start_token_id=BOS, forced_eos_token_id=None,
        )
    ).train()  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step(source: Tensor, target: Tensor) -> None:
        labels = target.masked_fill(target == PAD, -100)
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            loss = model(input_ids=source, attention_mask=(source != PAD).long(), labels=labels).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def joeynmt() -> Step:
    """JoeyNMT's model, loss and batches, with the steps of its `TrainManager`; float32, as it is on CPUs."""
    from joeynmt.batch import Batch
    from joeynmt.model import build_model
    from joeynmt.vocabulary import Vocabulary

    special = SimpleNamespace(
        unk_token="<unk>", pad_token="<pad>", bos_token="<s>", eos_token="</s>", sep_token=None, lang_tags=[],
        unk_id=0, pad_id=PAD, bos_id=BOS, eos_id=EOS, sep_id=None,
    )  # fmt: skip
    vocabulary = Vocabulary([f"piece {i}" for i in range(4, PIECES)], special)
    stack: dict[str, Any] = {
        "type": "transformer", "num_layers": 4, "num_heads": 4, "hidden_size": 256, "ff_size": 1024,
        "dropout": 0.1, "layer_norm": "pre", "activation": "relu",
        "embeddings": {"embedding_dim": 256, "scale": True, "dropout": 0.0},
    }  # fmt: skip
    start = {"initializer": "xavier_uniform", "embed_initializer": "xavier_uniform", "bias_initializer": "zeros"}
    config = {**start, "tied_embeddings": False, "tied_softmax": True, "encoder": stack, "decoder": stack}
    model = build_model(config, vocabulary, vocabulary).train()
    model.loss_function = ("crossentropy", 0.1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.98))

    def step(source: Tensor, target: Tensor) -> None:
        begun = nn.functional.pad(target, (1, 0), value=BOS)
        batch = Batch(
            source, (source != PAD).sum(1), None, begun, None, torch.arange(len(source)), source.device, PAD, EOS
        )
        batch.sort_by_src_length()
        loss = model(return_type="loss", **vars(batch))[0]
        batch.normalize(loss, "tokens").backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        model.zero_grad()

    return step


if __name__ == "__main__":
    main()

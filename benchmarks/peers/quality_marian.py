"""Train a Hugging Face MarianMT of equal size from scratch within some minutes on this project's training pairs.

    python -m benchmarks.quality configs/general.yaml … --peers DATA         # writes DATA
    python -m benchmarks.peers.quality_marian DATA --minutes 30 --rate 5e-4 --out runs/quality/marian-5e-4
    python -m benchmarks.peers.quality_marian DATA --minutes 30 --rate 1e-3 --out runs/quality/marian-1e-3

From the repository's root, in an environment of its own (README.md beside this file). AdamW, warm-up over 10 % of
the minutes and then down to zero in a line, label smoothing 0.1, bfloat16 autocast, this project's SentencePiece
models and dropout. Ten times on the way it translates the validation pairs greedily; the best
weights translate the tests. Its clock stands still while it validates, which this project's own minutes include.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from sacrebleu.metrics.chrf import CHRF
from sentencepiece import SentencePieceProcessor
from torch import nn
from transformers import MarianConfig, MarianMTModel

from benchmarks.peers.train_speed import BOS, EOS, PAD, pad
from benchmarks.systems import TESTS, VALIDATION, System, add_to_curve, machine, read_lines, write_lines

VALIDATIONS = 10
LONGEST = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="what benchmarks.quality --peers wrote")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--rate", type=float, required=True, help="peak learning rate")
    parser.add_argument("--batch-tokens", type=int, default=1024, help="padding counted, on the longer side")
    parser.add_argument("--precision", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    torch.manual_seed(1)
    facts = json.loads((args.data / "facts.json").read_text(encoding="utf-8"))
    english, korean = (
        SentencePieceProcessor(model_file=str(args.data / f"{side}.model")) for side in ("en", "ko")
    )
    sources, targets = (
        [[*ids, EOS] for ids in processor.encode(read_lines(args.data / f"train.{side}"))]
        for side, processor in (("en", english), ("ko", korean))
    )
    model = build(facts["sizes"], len(english), len(korean))
    dev, references = (read_lines(args.data / f"dev.{side}") for side in ("en", "ko"))

    optimizer = torch.optim.AdamW(
        model.parameters(), lr=args.rate, betas=(0.9, 0.98), eps=1e-9, weight_decay=0.01, fused=True
    )
    loss_of = nn.CrossEntropyLoss(ignore_index=PAD, label_smoothing=0.1)
    seconds, spent, steps, tokens, validated = 60 * args.minutes, 0.0, 0, 0, 0
    best, best_state = -1.0, model.state_dict()
    for rows in batches(sources, targets, args.batch_tokens):
        start = time.monotonic()
        share = spent / seconds
        for group in optimizer.param_groups:
            group["lr"] = args.rate * min(share / 0.1, (1 - share) / 0.9)
        source, target = pad([sources[i] for i in rows]), pad([targets[i] for i in rows])
        begun = nn.functional.pad(target[:, :-1], (1, 0), value=BOS)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.precision == "bfloat16"):
            logits = model(
                input_ids=source, attention_mask=(source != PAD).long(), decoder_input_ids=begun, use_cache=False
            ).logits
        loss_of(logits.float().flatten(0, 1), target.flatten()).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        steps, tokens = steps + 1, tokens + int((target != PAD).sum())
        spent += time.monotonic() - start
        if spent >= seconds * (validated + 1) / VALIDATIONS:
            validated += 1
            found = translate(model, english, korean, dev)
            # Smoothed, as joeynmt.yaml says why.
            score = float(CHRF(word_order=2, eps_smoothing=True).corpus_score(found, [references]).score)
            add_to_curve(args.out, spent / 60, score)
            print(f"{spent / 60:.1f} minutes, {steps} steps: chrF++ {score:.2f}, {found[0]}", flush=True)
            if score >= best:
                best, best_state = score, copy.deepcopy(model.state_dict())
        if spent >= seconds:
            break

    model.load_state_dict(best_state)
    for name in (*VALIDATION, *TESTS):
        lines = read_lines(args.data / f"{name}.en")
        write_lines(args.out / "translations" / f"{name}.ko", translate(model, english, korean, lines))
    parameters = sum(p.numel() for p in model.parameters())
    System(
        f"MarianMT, rate {args.rate:g}", facts["track"], facts["pairs"], parameters, spent / 60, steps, tokens,
        machine(torch.get_num_threads()),
    ).save(args.out)  # fmt: skip


def build(sizes: dict[str, Any], english: int, korean: int) -> MarianMTModel:
    """Random weights; separate vocabularies, the output tied to the Korean embedding."""
    model = MarianMTModel(
        MarianConfig(
            vocab_size=english, decoder_vocab_size=korean, share_encoder_decoder_embeddings=False,
            d_model=sizes["width"], encoder_layers=sizes["encoder_layers"], decoder_layers=sizes["decoder_layers"],
            encoder_attention_heads=sizes["heads"], decoder_attention_heads=sizes["heads"],
            encoder_ffn_dim=sizes["feed_forward"], decoder_ffn_dim=sizes["feed_forward"],
            dropout=sizes["dropout"], activation_dropout=sizes["dropout"], activation_function="relu",
            scale_embedding=True, max_position_embeddings=2 * LONGEST + 16, pad_token_id=PAD, eos_token_id=EOS,
            decoder_start_token_id=BOS, forced_eos_token_id=None, tie_word_embeddings=True,
        )
    )  # fmt: skip
    assert model.lm_head.weight is model.model.decoder.embed_tokens.weight
    return model.train()


def batches(sources: Sequence[list[int]], targets: Sequence[list[int]], budget: int) -> Iterator[list[int]]:
    """Rows of sentences of like length within the budget, in random order, without end."""
    dice = random.Random(1)
    longest = [max(len(source), len(target)) for source, target in zip(sources, targets, strict=True)]
    while True:
        rows = [i for i in range(len(longest)) if longest[i] <= LONGEST]
        dice.shuffle(rows)
        rows.sort(key=lambda i: (len(targets[i]), len(sources[i])))
        found: list[list[int]] = [[]]
        width = 0
        for i in rows:
            width = max(width, longest[i])
            if found[-1] and width * (len(found[-1]) + 1) > budget:
                found.append([])
                width = longest[i]
            found[-1].append(i)
        dice.shuffle(found)
        yield from found


@torch.inference_mode()
def translate(
    model: MarianMTModel,
    english: SentencePieceProcessor,
    korean: SentencePieceProcessor,
    lines: Sequence[str],
    batch: int = 32,
) -> list[str]:
    """Greedy translations, with this project's limit of length."""
    model.eval()
    sources = [[*ids[: LONGEST - 1], EOS] for ids in english.encode(list(lines))]
    order = sorted(range(len(sources)), key=lambda i: -len(sources[i]))
    found = [""] * len(sources)
    for start in range(0, len(order), batch):
        rows = order[start : start + batch]
        ids = pad([sources[i] for i in rows])
        result = model.generate(
            input_ids=ids, attention_mask=(ids != PAD).long(), num_beams=1, do_sample=False,
            max_new_tokens=8 + 2 * ids.size(1),
        )  # fmt: skip
        for i, row in zip(rows, result.tolist(), strict=True):
            end = row.index(EOS) if EOS in row else len(row)
            found[i] = korean.decode([piece for piece in row[:end] if piece > EOS])
    model.train()
    return found


if __name__ == "__main__":
    main()

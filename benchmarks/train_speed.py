"""How fast the trainer's steps are on real text, beside what the machine's matrix products could do.

    python benchmarks/train_speed.py --corpora DIR              # DIR holds the corpora, NAME.tsv.xz
    python benchmarks/train_speed.py --corpora DIR --ids F.npz  # keeps the tokenised text in F.npz …
    python benchmarks/train_speed.py --ids F.npz --device cuda  # … which is all that this needs

On a CPU: d_model 256, 4+4 layers, 4 heads, feed-forward 1024, batches of 4,096 tokens. On CUDA: d_model 512, 6+6
layers, 8 heads, feed-forward 2048, batches of 32,768 tokens. On both: 8,000 + 8,000 pieces, label smoothing 0.1,
dropout 0.1 on embeddings, sublayer outputs and in the feed-forward network.
"""

from __future__ import annotations

import argparse
import lzma
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile

from translator.batching import TrainingData, epoch_batches
from translator.checkpoint import RunDirectory
from translator.config import Config, ModelConfig, TokenizerConfig
from translator.tokenizer import Tokenizer, normalize
from translator.training import Trainer

NAMES = (
    "tatoeba", "xpersona", "korsts_devtest", "pawsx_devtest",
    "docs_react", "docs_gnome_help", "docs_python", "game_wesnoth",
)  # fmt: skip
"""Talk, captions, an encyclopedia, manuals, a game: 87,595 pairs of 19 pieces a side on average, 128 at most."""
LONGEST = 127
SIZES = {  # model, tokens a batch
    "cpu": (ModelConfig(256, 4, 4, 4, 1024), 4096),
    "cuda": (ModelConfig(512, 8, 6, 6, 2048), 32768),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", type=Path, help="folder of the corpora")
    parser.add_argument("--ids", type=Path, help="tokenised text: written with --corpora, read without")
    parser.add_argument("--device", default="cpu", choices=list(SIZES))
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--compile", default="auto", choices=["auto", "on", "off"])
    parser.add_argument("--attention-dropout", type=float, default=0.0)
    parser.add_argument("--batch-tokens", type=int, help="4096 on a CPU, 32768 on CUDA")
    parser.add_argument("--steps", type=int, default=40, help="steps that are timed")
    parser.add_argument("--warm-up", type=int, default=5, help="steps before them; compiling wants more")
    args = parser.parse_args()

    config = Config(device=args.device)
    config.model, config.train.batch_tokens = SIZES[args.device]
    config.model.attention_dropout = args.attention_dropout
    config.train.batch_tokens = args.batch_tokens or config.train.batch_tokens
    config.train.precision, config.train.compile = args.precision, args.compile
    text = np.load(args.ids) if args.corpora is None else tokenize(args.corpora, args.ids)
    with tempfile.TemporaryDirectory() as folder:
        trainer = set_up(config, text, RunDirectory(folder))
    trainer.model.train()
    order = trainer.data.order(config.train.batch_tokens, config.seed, epoch=0)
    batches = iter(trainer._batches())  # in that order
    kind = "bfloat16" if trainer.bfloat16 else "float32"
    compiled = f"compile {args.compile}"
    print(f"{trainer.device}, {torch.get_num_threads()} threads, torch {torch.__version__}, {kind}, {compiled}")

    before = matrix_rates(config, trainer.device)
    for _ in range(args.warm_up):
        trainer._update(*next(batches))
    timed = order[args.warm_up : args.warm_up + args.steps]
    waiting, computing = [], []  # seconds, of each step
    began = now(trainer.device)
    for _ in timed:
        start = time.perf_counter()
        batch = next(batches)
        middle = time.perf_counter()
        trainer._update(*batch)
        waiting.append(middle - start)
        computing.append(time.perf_counter() - middle)
    if trainer.device.type == "cuda":  # which runs behind: only the whole can be timed
        computing = [(now(trainer.device) - began - sum(waiting)) / len(timed)] * len(timed)
    after = matrix_rates(config, trainer.device)

    lengths = trainer.data.lengths + 1  # with their marks
    print_padding(lengths, order)
    print_speed(trainer.model, lengths, timed, np.array([waiting, computing]), [before, after])
    print_profile(lambda: trainer._update(*next(batches)), trainer.device)


def tokenize(corpora: Path, ids: Path | None) -> dict[str, np.ndarray]:
    """Ids, lengths and tokenizer of each side of the corpora, and the batches of 4,096 tokens of an epoch."""
    pairs = []
    for name in NAMES:
        with lzma.open(corpora / f"{name}.tsv.xz", "rt", encoding="utf-8") as file:
            pairs += [[normalize(side) for side in line.split("\t")] for line in file]
    tokenizers = [Tokenizer.train([pair[side] for pair in pairs], 8000, TokenizerConfig()) for side in (0, 1)]
    examples = [[tokenizers[side].encode(pair[side]) for side in (0, 1)] for pair in pairs]
    examples = [example for example in examples if max(map(len, example)) <= LONGEST]
    text: dict[str, np.ndarray] = {}
    for side, language in enumerate(("en", "ko")):
        text[f"{language}.ids"] = np.array([i for example in examples for i in example[side]], np.uint16)
        text[f"{language}.lengths"] = np.array([len(example[side]) for example in examples])
        text[f"{language}.model"] = np.frombuffer(tokenizers[side].model, np.uint8)
    lengths = np.stack([text["en.lengths"], text["ko.lengths"]], axis=1)
    order = epoch_batches(lengths, SIZES["cpu"][1], Config().seed, epoch=0)
    text["batches.rows"] = np.concatenate(order)  # for the peers
    text["batches.lengths"] = np.array([len(rows) for rows in order])
    if ids is not None:
        np.savez_compressed(ids, **text)  # type: ignore[arg-type]
    return text


def set_up(config: Config, text: dict[str, np.ndarray], run: RunDirectory) -> Trainer:
    """The trainer of a run on this text."""
    sides = []
    for language in ("en", "ko"):
        run.save_tokenizer(language, Tokenizer(text[f"{language}.model"].tobytes()))
        ends = np.cumsum(text[f"{language}.lengths"])
        sides.append([ids.tolist() for ids in np.split(text[f"{language}.ids"], ends[:-1])])
    examples = list(zip(*sides, strict=True))
    lengths = np.array([(len(source), len(target)) for source, target in examples])
    return Trainer(config, run, TrainingData(examples, lengths, np.ones(len(examples))), [])


def now(device: torch.device) -> float:
    """Seconds on a clock, when all that was asked of the device is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def matrix_rates(config: Config, device: torch.device) -> dict[torch.dtype, float]:
    """FLOP/s of x @ Wᵀ for the shapes of the model, the best shape and repetition, in each type."""
    rates = {}
    width, tokens = config.model.width, config.train.batch_tokens
    shapes = [(width, 3 * width), (width, 4 * width), (4 * width, width), (width, 8000)]
    for dtype in (torch.float32, torch.bfloat16):
        best = 0.0
        for into, out in shapes:
            x = torch.randn(tokens, into, device=device, dtype=dtype)
            weight = torch.randn(out, into, device=device, dtype=dtype)
            for _ in range(12):
                start = now(device)
                F.linear(x, weight)
                best = max(best, 2 * tokens * into * out / (now(device) - start))
        rates[dtype] = best
    return rates


def print_padding(lengths: np.ndarray, order: list[list[int]]) -> None:
    """The share of padding in a whole epoch, on each side and in all."""
    padded = np.array([len(rows) * lengths[rows].max(axis=0) for rows in order]).sum(axis=0)
    english, korean = 1 - lengths.sum(axis=0) / padded
    print(f"padding: source {english:.1%}, target {korean:.1%}, in all {1 - lengths.sum() / padded.sum():.1%}")


def print_speed(
    model: nn.Module,
    lengths: np.ndarray,
    timed: list[list[int]],
    seconds: np.ndarray,
    rates: list[dict[torch.dtype, float]],
) -> None:
    """Tokens a second, and the arithmetic that they took beside the machine's best rate: medians of the steps.

    `seconds` are (2, N): waiting for the data and computing.
    """

    def matrices(*parts: str) -> int:
        return sum(p.numel() for part in parts for p in model.get_submodule(part).parameters() if p.ndim == 2)

    source, target = np.array([lengths[rows].sum(axis=0) for rows in timed]).T  # N each
    by_target = 6 * matrices("encoder", "decoder", "output") * target
    by_side = 6 * (matrices("encoder") * source + matrices("decoder", "output") * target)
    for rate in rates:
        print("best matrix products:", ", ".join(f"{r / 1e9:,.0f} GFLOP/s in {t}" for t, r in rate.items()))
    best = max(rate[torch.bfloat16] for rate in rates)
    step = seconds.sum(axis=0)
    print(
        f"{np.median(target / step):,.0f} target tokens/s, padding not counted (all steps: "
        f"{target.sum() / step.sum():,.0f}); {np.median(step):.3f} s a step"
    )
    print(f"{seconds[0].sum() / step.sum():.1%} of the time waiting for data")
    print(
        f"{np.median(by_target / step) / best:.1%} of the bfloat16 rate: "
        "6 × all matrices but the embeddings × target tokens"
    )
    print(
        f"{np.median(by_side / step) / best:.1%} with encoder matrices × source tokens, "
        "decoder and output matrices × target tokens"
    )
    if model.get_submodule("output").weight.is_cuda:
        print(f"peak memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB on the device")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB of the process")


def print_profile(step: Callable[[], object], device: torch.device) -> None:
    """Which operations take the time, three steps together."""
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with profile(activities=activities) as profiler:
        for _ in range(3):
            step()
    key = "self_cpu_time_total" if device.type == "cpu" else "self_device_time_total"
    print(profiler.key_averages().table(sort_by=key, row_limit=25, max_name_column_width=45))


if __name__ == "__main__":
    main()

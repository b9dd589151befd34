"""Train JoeyNMT 2.3.0 from scratch within some minutes on this project's training pairs and tokenizers.

    python -m benchmarks.quality configs/general.yaml … --peers DATA         # writes DATA
    python -m benchmarks.peers.quality_joeynmt DATA --minutes 30 --rate 5e-4 --out runs/quality/joeynmt-5e-4
    python -m benchmarks.peers.quality_joeynmt DATA --minutes 30 --rate 1e-3 --out runs/quality/joeynmt-1e-3

From the repository's root, in an environment of its own (README.md beside this file). The recipe is joeynmt.yaml.
Six times, the last at the end, it translates the validation pairs greedily; the best weights translate the
tests. Its clock stands still while it validates, which this project's own minutes include, and during a trial of a
minute at most before the training, from which the updates and so the warm-up are reckoned.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import torch
from joeynmt.config import load_config, parse_global_args, set_validation_args
from joeynmt.data import load_data
from joeynmt.helpers import load_checkpoint, make_model_dir
from joeynmt.prediction import predict, prepare
from joeynmt.training import TrainManager

from benchmarks.systems import TESTS, VALIDATION, System, add_to_curve, machine, write_lines

VALIDATIONS = 6


class TimedTrainManager(TrainManager):  # type: ignore[misc]
    """Trains for some seconds, validations aside, and validates at even distances if it has a `folder` to tell."""

    seconds: float
    folder: Path | None = None
    valid_data: Any
    spent = 0.0
    ended = math.inf
    """When the step before was over, on the clock of the machine."""
    validated = 0

    def _train_step(self, batch: Any) -> tuple[float, int]:
        start = min(self.ended, time.monotonic())  # with the update and the next batch after the step before
        result: tuple[float, int] = super()._train_step(batch)
        self.spent += time.monotonic() - start
        if self.folder and self.spent >= self.seconds * (self.validated + 1) / VALIDATIONS:
            self.validated += 1
            self._validate(self.valid_data)
        self.stats.is_max_update = self.spent >= self.seconds
        self.ended = time.monotonic()
        return result

    def _add_report(self, valid_scores: dict[str, float], new_best: bool = False) -> None:
        super()._add_report(valid_scores, new_best)
        assert self.folder
        add_to_curve(self.folder, self.spent / 60, 100 * valid_scores["chrf"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="what benchmarks.quality --peers wrote")
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--rate", type=float, required=True, help="peak learning rate")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    facts = json.loads((args.data / "facts.json").read_text(encoding="utf-8"))
    config = configuration(args.data, args.out, facts["sizes"], args.rate)
    make_model_dir(args.out)
    settings = parse_global_args(config, rank=0, mode="train")
    model, train_data, dev_data, _ = prepare(settings, rank=0, mode="train")
    parameters = sum(p.numel() for p in model.parameters())

    def trainer(model: Any, seconds: float, warm_up: int) -> TimedTrainManager:
        manager = TimedTrainManager(
            rank=0, model=model, model_dir=args.out, device=settings.device, autocast=settings.autocast,
            seed=settings.seed, train_args=settings.train, dev_args=set_validation_args(settings.test),
        )  # fmt: skip
        manager.scheduler.warmup = warm_up
        manager.scheduler.decay_rate = args.rate * warm_up**0.5
        manager.seconds, manager.valid_data = seconds, dev_data
        return manager

    seconds = 60 * args.minutes
    trial = trainer(copy.deepcopy(model), min(60, seconds / 5), 1000)
    trial.train_and_validate(train_data, dev_data)
    updates = round(trial.stats.steps * seconds / trial.spent)

    manager = trainer(model, seconds, max(1, updates // 10))
    manager.folder = args.out
    manager.train_and_validate(train_data, dev_data)
    print(f"{manager.stats.steps} updates, {updates} expected")

    model.load_state_dict(load_checkpoint(args.out / "best.ckpt", settings.device)["model_state"])
    for name in (*VALIDATION, *TESTS):
        files = {**config["data"], "test": str(args.data / name)}
        test_data = load_data(files, datasets=["test"])[-1]
        found = predict(
            model, test_data, settings.device, n_gpu=0, args=set_validation_args(settings.test),
            autocast=settings.autocast,
        )[2]  # fmt: skip
        # It writes "<unk>" where nothing was found.
        write_lines(args.out / "translations" / f"{name}.ko", ["" if text == "<unk>" else text for text in found])
    System(
        f"JoeyNMT 2.3.0, rate {args.rate:g}", facts["track"], facts["pairs"], parameters, manager.spent / 60,
        manager.stats.steps, manager.stats.total_tokens, machine(torch.get_num_threads()),
    ).save(args.out)  # fmt: skip


def configuration(data: Path, out: Path, sizes: dict[str, Any], rate: float) -> dict[str, Any]:
    """joeynmt.yaml with the paths, sizes and rate."""
    # Through JSON, which knows no shared parts: of what the YAML names once, either side gets its own.
    config: dict[str, Any] = json.loads(json.dumps(load_config(Path(__file__).with_name("joeynmt.yaml"))))
    config["model_dir"] = str(out)
    config["data"] |= {"train": str(data / "train"), "dev": str(data / "dev")}
    for side, language in (("src", "en"), ("trg", "ko")):
        config["data"][side]["voc_file"] = str(data / f"vocab.{language}")
        config["data"][side]["tokenizer_cfg"]["model_file"] = str(data / f"{language}.model")
    config["training"] |= {"learning_rate": rate, "learning_rate_warmup": 1000}
    for stack in ("encoder", "decoder"):
        config["model"][stack] |= {
            "num_layers": sizes[f"{stack}_layers"], "num_heads": sizes["heads"], "hidden_size": sizes["width"],
            "ff_size": sizes["feed_forward"], "dropout": sizes["dropout"],
        }  # fmt: skip
        config["model"][stack]["embeddings"]["embedding_dim"] = sizes["width"]
    return config


if __name__ == "__main__":
    main()

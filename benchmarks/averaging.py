"""Running average, average of the last checkpoints, or neither: one training, judged with each at its end.

    python benchmarks/averaging.py configs/tatoeba.yaml --corpora DIR train.max_steps=1000

Averages do not influence training, so one run serves all. DIR holds tatoeba.tsv.xz and tatoeba_test.tsv.xz.
"""

from __future__ import annotations

import argparse
import copy
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from translator.batching import Batch
from translator.checkpoint import RunDirectory
from translator.config import SourceConfig
from translator.config_file import load_config
from translator.corpus import read_pairs
from translator.model import Transformer
from translator.optimization import move_average
from translator.preparation import prepare
from translator.scoring import chrf
from translator.training import Trainer
from translator.translate import Translator

DECAYS = (0.9, 0.95, 0.98, 0.99)
LAST = (3, 5, 10)
SPACING = 0.02  # of the budget, between the checkpoints that are averaged


class WatchedTrainer(Trainer):
    """Keeps the averages beside the weights."""

    moving: dict[float, Transformer]
    kept: list[Transformer]

    def _update(self, rows: Sequence[int], parts: Sequence[Batch]) -> None:
        super()._update(rows, parts)
        for decay, average in self.moving.items():
            move_average(average, self.model, decay, self.progress.step)
        if (self.progress.step + 1) % round(SPACING * self.config.train.max_steps) == 0:
            self.kept = [*self.kept[1 - max(LAST) :], copy.deepcopy(self.model)]


def mean(models: Sequence[Transformer]) -> Transformer:
    """A model whose weights are the mean of the given ones'."""
    average = copy.deepcopy(models[0])
    with torch.no_grad():
        for parameters in zip(average.parameters(), *(m.parameters() for m in models), strict=True):
            parameters[0].copy_(torch.stack(parameters[1:]).mean(dim=0))
    return average


def main() -> None:
    """Train, then judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    parser.add_argument("--corpora", type=Path, required=True, metavar="DIR")
    args = parser.parse_intermixed_args()
    test = args.corpora / "tatoeba_test.tsv.xz"
    with TemporaryDirectory() as folder:
        files = [f"run_dir={folder}/run", f"data.sources={args.corpora / 'tatoeba.tsv.xz'}", f"data.test={test}"]
        config = load_config(args.config, [*files, "checkpoint.snapshots=0", *args.settings])
        run = RunDirectory(config.run_dir)
        corpus, data = prepare(config, run)
        trainer = WatchedTrainer(config, run, data, corpus.validation)
        trainer.moving = {decay: copy.deepcopy(trainer.model) for decay in DECAYS}
        trainer.kept = []
        trainer.train()

        print("| weights | validation loss | validation chrF++ | test chrF++ |\n|---|---:|---:|---:|")
        candidates = {"the last": trainer.model}
        candidates |= {f"running average, decay {decay}": model for decay, model in trainer.moving.items()}
        candidates |= {f"mean of the last {n} checkpoints": mean(trainer.kept[-n:]) for n in LAST}
        pairs = read_pairs(SourceConfig(path=str(test)))
        for name, model in candidates.items():
            trainer.average = model
            trainer._validate([])
            found = Translator(model.eval(), trainer.english, trainer.korean, set()).translate(
                [en for en, _ in pairs]
            )
            score = chrf(found, [korean for _, korean in pairs])
            last = json.loads((run.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
            loss, valid = last["validation_loss"], last["validation_chrf"]
            print(f"| {name} | {loss:.3f} | {valid:.2f} | {score:.2f} |", flush=True)


if __name__ == "__main__":
    main()

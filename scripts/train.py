"""Train a model: read and clean the corpus, train the tokenizers if they are missing, then the model.

    python scripts/train.py configs/everyday.yaml
    python scripts/train.py configs/tatoeba.yaml data.sources=pairs.tsv train.max_minutes=20

Every setting in translator/config.py can be given as key=value. Stopped by Ctrl-C or killed, the same command
goes on from the last checkpoint; a finished run is not trained again.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

from translator.errors import run

if TYPE_CHECKING:
    from translator.config import Config
    from translator.distributed import Ranks


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a YAML file of configs/, or your own")
    parser.add_argument("settings", nargs="*", default=[], metavar="key=value", help="settings of your own")
    args = parser.parse_args()

    from translator.config_file import load_config
    from translator.distributed import join_ranks

    config = load_config(args.config, args.settings)
    with join_ranks() as ranks:
        finished = train(config, ranks)
    if not finished:
        sys.exit(130)  # as of any program that Ctrl-C stopped: what was to come after it does not come


def train(config: Config, ranks: Ranks) -> bool:
    """Prepare the data on the first rank, train on all; returns whether the training is at its end, not stopped.

    What is made here is gone before the ranks part.
    """
    from translator.checkpoint import RunDirectory
    from translator.preparation import prepare
    from translator.samples import Samples
    from translator.training import Trainer

    directory = RunDirectory(config.run_dir)
    with directory.locked() if ranks.main else nullcontext():
        with ranks.main_first():
            if ranks.main:
                print(f"Reading and cleaning the corpus for {directory.path} ...", file=sys.stderr)
            corpus, data = prepare(config, directory)
        trainer = Trainer(config, directory, data, corpus.validation, ranks)
        now, say = trainer.progress, trainer.report.say
        if trainer.finished:
            if ranks.main:
                print(f"{directory.path} is trained already: {now.step:,} steps, {now.seconds / 60:.1f} minutes.")
            return True

        parameters = sum(p.numel() for p in trainer.model.parameters())
        kind = "bfloat16" if trainer.bfloat16 else "float32"
        say(
            f"{len(corpus.train):,} pairs, {trainer.english.size:,} English and {trainer.korean.size:,} Korean "
            f"pieces, {parameters:,} parameters, {kind} on {f'{ranks.size} × ' * (ranks.size > 1)}{trainer.device}"
        )
        if now.step:
            say(f"Going on from step {now.step:,}.")
        trainer.train([Samples(trainer, config.validation.samples)])
        if not trainer.finished:
            say(f"Stopped at step {now.step:,}; the same command goes on from there.")
        elif ranks.main:
            best = directory.header()
            print(
                f"Trained {directory.path} in {now.seconds / 60:.1f} minutes, {now.step:,} steps; in best/: "
                f"step {best['step']}, validation loss {best['validation_loss']}, chrF++ {best['chrF++']}."
            )
        return trainer.finished


if __name__ == "__main__":
    run(main)

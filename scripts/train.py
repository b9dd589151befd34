"""Train a model: read and clean the corpus, train the tokenizers if they are missing, then the model.

    python scripts/train.py configs/everyday.yaml
    python scripts/train.py configs/tatoeba.yaml data.sources=pairs.tsv train.max_minutes=20

Every setting in translator/config.py can be given as key=value. Stopped by Ctrl-C or killed, the same command
goes on from the last checkpoint; a finished run is not trained again.
"""

from __future__ import annotations

import argparse
import sys

from translator.errors import run


def main() -> None:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a YAML file of configs/, or your own")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings that override the file's")
    args = parser.parse_args()

    from tqdm import tqdm

    from translator.checkpoint import RunDirectory
    from translator.config import load_config
    from translator.preparation import prepare
    from translator.training import Trainer
    from translator.translate import Translator

    config = load_config(args.config, args.settings)
    directory = RunDirectory(config.run_dir)
    print(f"Reading and cleaning the corpus for {directory.path} ...", file=sys.stderr)
    corpus, data = prepare(config, directory)
    trainer = Trainer(config, directory, data, corpus.validation)
    if trainer.budget_used >= 1:
        print(f"{directory.path} is trained already (chrF++ {trainer.progress.best_chrf:.1f} on validation).")
        return

    translator = Translator(trainer.model, trainer.english, trainer.korean, directory.known_words())

    def show_samples(step: int, model: object) -> None:
        samples = config.validation.samples
        for english, korean in zip(samples, translator.translate(samples), strict=True):
            tqdm.write(f"    {english}  →  {korean}", file=sys.stderr)

    parameters = sum(p.numel() for p in trainer.model.parameters())
    kind = "bfloat16" if trainer.bfloat16 else "float32"
    print(
        f"{len(corpus.train):,} pairs, {trainer.english.size:,} English and {trainer.korean.size:,} Korean "
        f"pieces, {parameters:,} parameters, {kind} on {trainer.device}",
        file=sys.stderr,
    )
    if trainer.progress.step:
        print(f"Going on from step {trainer.progress.step:,}.", file=sys.stderr)
    trainer.train([show_samples])
    done = trainer.progress
    if trainer.interrupted:
        print(f"Stopped at step {done.step:,}; the same command goes on from there.", file=sys.stderr)
    else:
        print(f"Trained {directory.path} in {done.seconds / 60:.1f} minutes, {done.step:,} steps; ", end="")
        print(f"best validation chrF++ {done.best_chrf:.1f}.")


if __name__ == "__main__":
    run(main)

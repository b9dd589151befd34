"""Show what comes in from a configuration's sources, what cleaning drops and why, with examples of both.

python scripts/prepare_corpus.py configs/everyday.yaml
python scripts/prepare_corpus.py configs/tatoeba.yaml data.sources=pairs.tsv data.cleaning.max_ratio=3
"""

from __future__ import annotations

import argparse

from translator.errors import run


def main() -> None:
    """Parse the arguments, load the corpus, print its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a YAML file of configs/, or your own")
    parser.add_argument("settings", nargs="*", default=[], metavar="key=value", help="settings of your own")
    args = parser.parse_args()

    import random

    from translator.config_file import load_config
    from translator.corpus import load_corpus, summary
    from translator.preparation import cache_folder

    config = load_config(args.config, args.settings)
    corpus = load_corpus(config.data, cache_folder(config))
    print(summary(corpus.report))
    for reason, examples in corpus.report["examples"].items():
        print(f"\nDropped, {reason}:")
        for row in examples:
            print(f"  {row['file']}, line {row['line']}:  {row['english']}  |  {row['korean']}")
    print("\nKept:")
    for i in random.Random(0).sample(range(len(corpus.train)), min(8, len(corpus.train))):
        print("  {}  |  {}".format(*corpus.train[i]))


if __name__ == "__main__":
    run(main)

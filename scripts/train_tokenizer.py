"""Train the English and the Korean tokenizer of a run; scripts/train.py does so by itself if they are missing.

python scripts/train_tokenizer.py configs/everyday.yaml
"""

from __future__ import annotations

import argparse

from translator.errors import run


def main() -> None:
    """Parse the arguments, train what is missing, show how a sentence is cut."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a YAML file of configs/, or your own")
    parser.add_argument("settings", nargs="*", default=[], metavar="key=value", help="settings of your own")
    args = parser.parse_args()

    from translator.checkpoint import RunDirectory
    from translator.config_file import load_config
    from translator.preparation import prepare

    config = load_config(args.config, args.settings)
    directory = RunDirectory(config.run_dir)
    with directory.locked():
        corpus, _ = prepare(config, directory)
    for language, side in (("en", 0), ("ko", 1)):
        tokenizer = directory.tokenizer(language)
        example = " ".join(tokenizer.pieces(tokenizer.encode(corpus.train[0][side])))
        print(f"{directory.path}/tokenizer/{language}.model: {tokenizer.size} pieces, for example {example}")


if __name__ == "__main__":
    run(main)

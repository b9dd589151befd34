"""Show what comes in from a configuration's files, and what cleaning drops and why.

python scripts/prepare_corpus.py configs/everyday.yaml
"""

from __future__ import annotations

import argparse
import json

from translator.errors import run


def main() -> None:
    """Parse the arguments, load the corpus, print its report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", help="a YAML file of configs/, or your own")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings that override the file's")
    args = parser.parse_args()

    from translator.config import load_config
    from translator.corpus import load_corpus

    corpus = load_corpus(load_config(args.config, args.settings).data)
    print(json.dumps(corpus.report, ensure_ascii=False, indent=2))
    for english, korean in corpus.train[:5]:
        print(f"{english}\t{korean}")


if __name__ == "__main__":
    run(main)

"""Generate the everyday corpus: the committed splits, or fresh sentences of the same grammar.

python data/everyday/generate.py                           write the splits and the lists in README.md
python data/everyday/generate.py --check                   compare them with the files instead
python data/everyday/generate.py --fresh 200 --seed 12345  pairs that are in no split (--out F.tsv)
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

HERE = Path(__file__).resolve().parent
if TYPE_CHECKING:
    from data.everyday.grammar import Grammar, Pattern, Sentence, error_rate, tokens
else:
    sys.path.insert(0, str(HERE))
    from grammar import Grammar, Pattern, Sentence, error_rate, tokens

SEED = 20240501
TRAIN, HELD = 31400, 500  # sentences in train; in valid and in test
MINIMUM, PATTERNS, PARTNERS = 20, 5, 3  # what every word of valid and test has in train
SPLITS = ("train", "valid", "test")
SLOT_KINDS = ("people", "noun", "place", "verb", "adj")
Pair = tuple[str, str, str]
Splits = dict[str, list[Sentence]]


@dataclass
class Coverage:
    """What the training sentences show of each English word and of each filler of a slot."""

    words: Counter[str] = field(default_factory=Counter)
    entries: Counter[str] = field(default_factory=Counter)
    patterns: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    partners: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def add(self, sentence: Sentence) -> None:
        """Count one training sentence."""
        self.words.update({x.lower() for x in tokens(sentence.en)})
        slots = set(sentence.entries)
        self.entries.update(slots)
        for x in slots:
            self.patterns[x].add(sentence.pattern)
        for _, one, other in sentence.pairs:
            self.partners[one].add(other)
            self.partners[other].add(one)

    def enough(self, sentence: Sentence) -> bool:
        """Whether every word and every filler of the sentence is well known from training."""
        slots = [x for x in sentence.entries if x.split(":")[0] in SLOT_KINDS]
        paired = {x for pair in sentence.pairs for x in pair[1:]}
        return (
            all(self.words[x.lower()] >= MINIMUM for x in tokens(sentence.en))
            and all(self.entries[x] >= MINIMUM and len(self.patterns[x]) >= PATTERNS for x in slots)
            and all(len(self.partners[x]) >= PARTNERS for x in paired)
        )


def held_pairs(grammar: Grammar, rng: random.Random) -> dict[str, set[Pair]]:
    """The verb-object and adjective-noun pairs kept for valid and for test.

    No word gives up more than a part of its pairs: a noun one in three, a verb or adjective one in four.
    """
    kinds = grammar.lexicon.kinds
    allowed: list[Pair] = []
    for kind, heads in (("verb", kinds["verb"]), ("adj", kinds["adj"])):
        for head in heads:
            if "fixed" not in head.tags and "person" not in head.tags:
                allowed += [(kind, head.id, x.id) for x in grammar.base("of", [head])]
    degree: Counter[tuple[str, str]] = Counter()
    for kind, one, other in allowed:
        degree.update([(kind, one), (kind, other)])
    quota = {x: n // (3 if x[1].startswith("noun") else 4) for x, n in degree.items()}
    held: dict[str, set[Pair]] = {"valid": set(), "test": set()}
    rng.shuffle(allowed)
    for pair in allowed:
        ends = [(pair[0], x) for x in pair[1:]]
        if all(quota[x] > 0 for x in ends):
            for x in ends:
                quota[x] -= 1
            held[min(held, key=lambda s: (len(held[s]), s))].add(pair)
    return held


class Held:
    """Which pairs are kept for valid and test: the listed ones, and of all other kinds one in 14 each."""

    def __init__(self, grammar: Grammar, seed: int) -> None:
        self.seed = seed
        self.known: dict[Pair, str] = {}
        for name, pairs in held_pairs(grammar, random.Random(f"{seed} held")).items():
            self.known.update(dict.fromkeys(pairs, name))

    def split(self, pair: Pair) -> str:
        """valid, test or train: where sentences with the pair may stand."""
        if pair not in self.known:
            self.known[pair] = "train"
            if pair[0] in ("place", "noun", "with") and "people:you:-" not in pair:
                share = random.Random(f"{self.seed} {pair}").random() * 14
                self.known[pair] = "valid" if share < 1 else "test" if share < 2 else "train"
        return self.known[pair]

    def fits(self, pairs: list[Pair], name: str) -> bool:
        """Whether a sentence with these pairs may stand in a split: valid and test need a pair of their own.

        The pair of a subject and a noun counts as new only where no verb or adjective goes with the noun.
        """
        found = {self.split(x) for x in pairs} - {"train"}
        strong = [x for x in pairs if x[0] != "noun"] or pairs
        return not found if name == "train" else found == {name} and name in map(self.split, strong)


def draws(
    grammar: Grammar,
    pattern: Pattern,
    rng: random.Random,
    tries: int,
    fits: Callable[[list[Pair]], bool] = lambda _: True,
) -> Iterator[Sentence]:
    """Sentences of a pattern with fitting pairs, of 4 to 16 English words."""
    for _ in range(tries):
        filled = grammar.fill(pattern, rng)
        if filled is not None and fits(grammar.pairs(pattern, filled)):
            sentence = grammar.realize(pattern, filled)
            if 4 <= len(sentence.en.split()) <= 16:
                yield sentence


class Corpus:
    """The splits in the making: no English or Korean sentence comes twice."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.english: dict[str, str] = {}
        self.korean: set[str] = set()

    def take(self, sentence: Sentence) -> bool:
        """Add a sentence unless one side is there already; one English sentence has one Korean."""
        known = self.english.setdefault(sentence.en, sentence.ko)
        if known != sentence.ko:
            raise AssertionError(f"{sentence.en}: {known} / {sentence.ko} ({sentence.pattern})")
        if sentence.ko in self.korean:
            return False
        self.korean.add(sentence.ko)
        return True


def make_splits(seed: int = SEED) -> Splits:
    """All three splits, train shuffled, valid and test spread evenly over the patterns."""
    grammar = Grammar(HERE)
    held = Held(grammar, seed)
    splits: Splits = {"train": make_train(grammar, held, seed)}
    coverage = Coverage()
    for sentence in splits["train"]:
        coverage.add(sentence)
    corpus = Corpus(grammar)
    for sentence in splits["train"]:
        corpus.take(sentence)
    for name in ("valid", "test"):
        found: list[list[Sentence]] = []
        for pattern in grammar.patterns:
            rng = random.Random(f"{seed} {name} {pattern.name}")
            good: list[Sentence] = []
            for sentence in draws(grammar, pattern, rng, 300, partial(held.fits, name=name)):
                if coverage.enough(sentence) and corpus.take(sentence):
                    good.append(sentence)
                    if len(good) == 6:
                        break
            found.append(good)
        rounds = [x[i] for i in range(6) for x in found if i < len(x)]
        splits[name] = rounds[:HELD]
        random.Random(f"{seed} {name}").shuffle(splits[name])
    return splits


def make_train(grammar: Grammar, held: Held, seed: int) -> list[Sentence]:
    """The training sentences: every pattern by its weight, no held-out pair."""
    corpus = Corpus(grammar)
    out: list[Sentence] = []
    left = float(TRAIN)
    weights = sum(x.weight for x in grammar.patterns)
    for pattern in grammar.patterns:
        rng = random.Random(f"{seed} train {pattern.name}")
        number = round(left * pattern.weight / weights)
        mine: list[Sentence] = []
        for sentence in draws(grammar, pattern, rng, 90 * number, partial(held.fits, name="train")):
            if corpus.take(sentence):
                grammar.count(sentence, pattern)
                mine.append(sentence)
                if len(mine) == number:
                    break
        out += mine
        left -= len(mine)
        weights -= pattern.weight
    random.Random(f"{seed} train").shuffle(out)
    return out


def examples(splits: Splits) -> dict[str, list[Sentence]]:
    """Five training sentences of every pattern, for README.md."""
    out: dict[str, list[Sentence]] = {}
    for sentence in splits["train"]:
        if len(out.setdefault(sentence.pattern, [])) < 5:
            out[sentence.pattern].append(sentence)
    return out


def figures(sentences: list[Sentence]) -> tuple[float, float]:
    """Sure links per Korean word, and the error rate of the best alignment with one link a word."""
    found: list[set[tuple[int, int]]] = []
    for x in sentences:
        best = {j: (i, j) for i, j in reversed(x.possible)} | {j: (i, j) for i, j in reversed(x.sure)}
        found.append(set(best.values()))
    sure = [set(x.sure) for x in sentences]
    both = [set(x.sure) | set(x.possible) for x in sentences]
    words = sum(len(x.ko.split()) for x in sentences)
    return sum(map(len, sure)) / words, error_rate(found, sure, both)


def report(splits: Splits) -> str:
    """The generated section of README.md."""
    train = splits["train"]
    english = {y.lower() for x in train for y in tokens(x.en) if y not in (".", ",", "?")}
    korean = {y.rstrip(".?") for x in train for y in x.ko.split()}
    lines = [
        "| split | pairs | English words | Korean words | sure links per Korean word | lowest AER |",
        "|---|---|---|---|---|---|",
    ]
    for name in SPLITS:
        ratio, bound = figures(splits[name])
        lines.append(
            f"| {name} | {len(splits[name])} | {sum(len(x.en.split()) for x in splits[name])} "
            f"| {sum(len(x.ko.split()) for x in splits[name])} | {ratio:.3f} | {bound:.4f} |"
        )
    lines += [
        "",
        f"Distinct English words: {len(english)}; distinct Korean words with particles and "
        f"endings: {len(korean)}; patterns: {len({x.pattern for x in train})}.",
        "",
        "### Five outputs of every pattern",
        "",
    ]
    sizes = Counter(x.pattern for x in train)
    for pattern, sentences in sorted(examples(splits).items()):
        lines += [f"**{pattern}** ({sizes[pattern]} in train)", ""]
        lines += [f"- {x.en} — {x.ko}" for x in sentences] + [""]
    return "\n".join(lines)


def files(splits: Splits) -> dict[str, str]:
    """The text of every generated file; README.md keeps what stands before the marker."""
    out: dict[str, str] = {}
    for name in SPLITS:
        out[f"{name}.tsv"] = "".join(f"{x.en}\t{x.ko}\n" for x in splits[name])
        out[f"{name}.align"] = "".join(f"{x.align}\n" for x in splits[name])
    marker = "<!-- from here on written by generate.py -->\n"
    before = (HERE / "README.md").read_text("utf-8").partition(marker)[0]
    out["README.md"] = before + marker + "\n" + report(splits).rstrip("\n") + "\n"
    return out


def committed(folder: Path = HERE) -> Iterator[tuple[str, str]]:
    """All pairs of the committed splits."""
    for name in SPLITS:
        for line in (folder / f"{name}.tsv").read_text("utf-8").splitlines():
            english, korean = line.split("\t")
            yield english, korean


def fresh(number: int, seed: int, folder: Path = HERE) -> list[Sentence]:
    """Sentences of the training distribution that are in no split on either side."""
    corpus = Corpus(Grammar(folder))
    for english, korean in committed(folder):
        corpus.english[english] = korean
        corpus.korean.add(korean)
    rng = random.Random(f"{seed} fresh")
    patterns = corpus.grammar.patterns
    out: list[Sentence] = []
    while len(out) < number:
        pattern = rng.choices(patterns, [x.weight for x in patterns])[0]
        for sentence in draws(corpus.grammar, pattern, rng, 1):
            if corpus.take(sentence):
                out.append(sentence)
    return out


def write(texts: dict[str, str], folder: Path) -> None:
    """Write the files."""
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8", newline="\n")


def main(arguments: Iterable[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Write, check or extend the everyday corpus.")
    parser.add_argument("--check", action="store_true", help="compare with the files, write nothing")
    parser.add_argument("--fresh", type=int, metavar="N", help="print N pairs that are in no split")
    parser.add_argument("--seed", type=int, default=1, help="seed of --fresh")
    parser.add_argument("--out", type=Path, help="file for the fresh pairs instead of the screen")
    options = parser.parse_args(None if arguments is None else list(arguments))
    if options.fresh is not None:
        text = "".join(f"{x.en}\t{x.ko}\n" for x in fresh(options.fresh, options.seed))
        if options.out:
            options.out.write_text(text, "utf-8", newline="\n")
        else:
            sys.stdout.write(text)
        return 0
    splits = make_splits()
    texts = files(splits)
    if options.check:
        bad = [x for x, text in texts.items() if (HERE / x).read_text("utf-8") != text]
        print("differ: " + ", ".join(bad) if bad else "all files are as generated")
        return 1 if bad else 0
    write(texts, HERE)
    for name in SPLITS:
        ratio, bound = figures(splits[name])
        print(f"{name}: {len(splits[name])} pairs, {ratio:.3f} sure links per Korean word, lowest AER {bound:.4f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""Train a recipe from scratch within some minutes, translate the test files with it, and note a row of scores.

    python -m benchmarks.quality configs/tatoeba.yaml --track tiny --minutes 10 --corpora DIR
    python -m benchmarks.quality configs/general.yaml --track general --minutes 30 --corpora DIR
    python -m benchmarks.quality configs/mix.yaml --track all --minutes 60 --corpora DIR device=cuda
    python -m benchmarks.quality configs/general.yaml --track general --minutes 10 --corpora DIR \\
        --results ablations.md train.optimizer=adamw train.batch_tokens=1024 seed=2

The recipe says how to train, the track on what: tiny is Tatoeba alone, general and all are the sources and weights
of configs/general.yaml and configs/mix.yaml; `data.sources=…` overrides them. DIR holds the corpora, NAME.tsv.xz.
The run directory, `--out`, is also the system's folder (systems.py), for compare.py. `--peers DIR` writes the same
training pairs, validation pairs and tokenizers for benchmarks/peers/.

The minutes are those of training, validations included (on 300 pairs spread over both files); reading and cleaning
the corpus and the final scoring come on top.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.systems import LINES, TESTS, VALIDATION, System, add_to_curve, machine, write_lines
from translator.batching import Batch, TrainingData
from translator.checkpoint import RunDirectory
from translator.config import Config
from translator.config_file import load_config
from translator.corpus import Pair, read_pairs
from translator.errors import UserError, run
from translator.preparation import prepare
from translator.scoring import chrf
from translator.training import Trainer
from translator.translate import Translator

CONFIGS = Path(__file__).parent.parent / "configs"
TRACKS = {"general": CONFIGS / "general.yaml", "all": CONFIGS / "mix.yaml"}
HEADING = "## Quality of the recipes"
EPOCHS_FOR_PEERS = 4


class CountingTrainer(Trainer):
    """Counts the target tokens it trains on."""

    seen = 0

    def _update(self, rows: Sequence[int], parts: Sequence[Batch]) -> None:
        super()._update(rows, parts)
        self.seen += sum(part.tokens for part in parts)


def main() -> None:
    """Parse the arguments, train, score, note."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path, help="a YAML file of configs/, or your own")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="settings that override the recipe's")
    parser.add_argument("--track", required=True, choices=["tiny", *TRACKS])
    parser.add_argument("--minutes", type=float, required=True, metavar="M")
    parser.add_argument("--corpora", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, help="run directory; default: in runs/quality/")
    parser.add_argument("--results", type=Path, default=Path("docs/results.md"), help="Markdown file for the row")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="also write the data for the peers here")
    args = parser.parse_intermixed_args()

    name = " ".join([f"`{args.recipe.name}`", *(f"`{setting}`" for setting in args.settings)])
    folder = "-".join([args.recipe.stem, args.track, f"{args.minutes:g}", *args.settings]).replace("/", "_")
    out = args.out or Path("runs/quality") / folder
    if (out / "config.yaml").exists():
        raise UserError(f"{out} is there already; delete it, or name another folder with --out")
    fixed = [
        f"run_dir={out.absolute()}",
        f"train.max_minutes={args.minutes}",
        "train.max_epochs=1000000",
        "checkpoint.every_steps=1000000",
        "checkpoint.snapshots=0",
        f"validation.decode_size={LINES}",
    ]
    config = load_config(args.recipe, [*fixed, *track_settings(args.track, args.corpora), *args.settings])
    directory = RunDirectory(out)
    corpus, data = prepare(config, directory)
    validation = spread(corpus.validation, LINES)
    if args.peers:
        write_for_peers(args.peers, args.track, config, directory, data, validation, args.corpora)
    trainer = CountingTrainer(config, directory, data, validation)
    parameters = sum(p.numel() for p in trainer.model.parameters())
    trainer.train()
    copy_curve(out)

    minutes, steps = trainer.progress.seconds / 60, trainer.progress.step
    device = torch.cuda.get_device_name() if trainer.device.type == "cuda" else machine(torch.get_num_threads())
    system = System(name, args.track, len(data.examples), parameters, minutes, steps, trainer.seen, device)
    translator = Translator.load(out, str(trainer.device))
    scores = {}
    for file in (*VALIDATION, *TESTS):
        pairs = read_pairs(str(args.corpora / f"{file}.tsv.xz"))
        if file in VALIDATION:
            logprobs = translator.score(pairs)
            system.nats_per_character[file] = nats_per_character(logprobs, [korean for _, korean in pairs])
        found = translator.translate([english for english, _ in pairs[:LINES]])
        write_lines(out / "translations" / f"{file}.ko", found)
        scores[file] = chrf(found, [korean for _, korean in pairs[:LINES]])
    system.save(out)
    print(header(), row(system, scores), sep="\n")
    note(args.results, row(system, scores))


def track_settings(track: str, corpora: Path) -> list[str]:
    """The track's sources, with their weights, and the validation and test files, all in `corpora`."""

    def file(name: str) -> str:
        return str((corpora / name).absolute())

    sources = [{"path": file("tatoeba.tsv.xz")}]
    if track in TRACKS:
        named = load_config(TRACKS[track]).data.sources
        sources = [{**vars(source), "path": file(Path(source.path).name)} for source in named]
    held_out = {"validation": VALIDATION, "test": TESTS}
    files = {key: [file(f"{name}.tsv.xz") for name in names] for key, names in held_out.items()}
    return [f"data.{key}={json.dumps(value)}" for key, value in {"sources": sources, **files}.items()]


def spread(pairs: Sequence[Pair], count: int) -> list[Pair]:
    """So many of the pairs, evenly spread."""
    return [pairs[i] for i in np.linspace(0, len(pairs) - 1, min(count, len(pairs))).astype(int)]


def copy_curve(out: Path) -> None:
    """From metrics.jsonl, where a report on training with its seconds stands before each validation."""
    seconds = 0.0
    for line in (out / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        seconds = record.get("seconds", seconds)
        if "validation_chrf" in record:
            add_to_curve(out, seconds / 60, record["validation_chrf"])


def write_for_peers(
    folder: Path,
    track: str,
    config: Config,
    run: RunDirectory,
    data: TrainingData,
    validation: Sequence[Pair],
    corpora: Path,
) -> None:
    """The pairs of some epochs, drawn by their weights as the trainer draws them, and all else that peers need."""

    def write(name: str, pairs: Sequence[Pair]) -> None:
        for side, language in enumerate(("en", "ko")):
            write_lines(folder / f"{name}.{language}", [pair[side] for pair in pairs])

    english, korean = run.tokenizer("en"), run.tokenizer("ko")
    rows = [
        row
        for epoch in range(EPOCHS_FOR_PEERS)
        for batch in data.order(config.train.batch_tokens, config.seed, epoch)
        for row in batch
    ]
    examples = [data.examples[row] for row in rows]
    write("train", [(english.decode(list(en)), korean.decode(list(ko))) for en, ko in examples])
    # By length: JoeyNMT translates in the file's order, each batch as far as its longest sentence may go.
    write("dev", sorted(validation, key=lambda pair: len(pair[0])))
    for file in (*VALIDATION, *TESTS):
        write(file, read_pairs(str(corpora / f"{file}.tsv.xz"))[:LINES])
    for language, tokenizer in (("en", english), ("ko", korean)):
        (folder / f"{language}.model").write_bytes(tokenizer.model)
        write_lines(folder / f"vocab.{language}", tokenizer.pieces(list(range(tokenizer.size))))
    facts = {"track": track, "pairs": len(data.examples), "sizes": vars(config.model)}
    (folder / "facts.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


def nats_per_character(logprobs: Sequence[float], references: Sequence[str]) -> float:
    """Cross-entropy per character of the references, spaces among them: comparable whatever the vocabularies.

    `logprobs` are the natural log-probabilities of the whole references, end marks included, as `Translator.score`
    gives them. Each is that of one way to cut the sentence into pieces, so this is an upper bound.
    """
    return -sum(logprobs) / sum(map(len, references))


def header() -> str:
    """The head of the table."""
    names = [
        "recipe", "track", "parameters", "minutes", "machine", "steps", "target tokens",
        "nats a character, validation", "chrF++, validation", *(f"`{name}`" for name in TESTS),
    ]  # fmt: skip
    right = ["---"] * 2 + ["---:"] * 2 + ["---"] + ["---:"] * 8
    return f"| {' | '.join(names)} |\n|{'|'.join(right)}|"


def row(system: System, scores: dict[str, float]) -> str:
    """A system's row. Both validation files stand in one cell, in the order of `VALIDATION`."""
    cells = [
        system.name,
        system.track,
        f"{system.parameters:,}",
        f"{system.minutes:.1f}",
        system.machine,
        f"{system.steps:,}",
        f"{system.tokens:,}",
        " / ".join(f"{system.nats_per_character[name]:.3f}" for name in VALIDATION),
        " / ".join(f"{scores[name]:.2f}" for name in VALIDATION),
        *(f"{scores[name]:.2f}" for name in TESTS),
    ]
    return f"| {' | '.join(cells)} |"


def note(path: Path, row: str) -> None:
    """Add a row to the table under `HEADING` in a Markdown file; what is missing of the three is made."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    if HEADING not in lines:
        lines += [*([""] if lines else []), HEADING, "", *header().splitlines()]
    at = lines.index(HEADING)
    last = at  # line of the table under the heading
    for number, line in enumerate(lines[at + 1 :], start=at + 1):
        if line.startswith("## "):
            break
        last = number if line.startswith("|") else last
    if last == at:
        lines[at + 1 : at + 1] = ["", *header().splitlines()]
        last = at + 3
    lines.insert(last + 1, row)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    run(main)

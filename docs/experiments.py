"""Ten small changes to attention, and what becomes of the translations; docs/attention.md says why.

    python docs/experiments.py silence
    python docs/experiments.py no-mask runs/everyday

The first five change a trained model (RUN, else runs/everyday) in memory and take seconds. The others train models
of their own beside RUN, 700 steps each (a minute on two CPU cores), and a normal one to compare with.
Each function below is one experiment: what it yields is looked at while its change is in force. A row is

    exact   sentences of data/everyday/test.tsv translated exactly as they should be, %
    chrF++  how near the others come, 100 is best
    loss    nats a sentence when the pieces before are always the right ones (teacher forcing), as in training
    AER     alignment error rate of the head of cross-attention that aligns best, %; 83.6 is chance

and the picture, RUN/experiments/NAME.png, has one head of each model: of cross-attention the one that training
found to align best, of self-attention the first. RUN itself is not changed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from unittest import mock

import torch
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from torch import Tensor

from translator import Translator, attention
from translator.checkpoint import RunDirectory
from translator.config_file import load_config
from translator.corpus import read_pairs
from translator.errors import run
from translator.evaluation import measures
from translator.inspection import figures
from translator.inspection.alignment import align, head_scores, read_gold
from translator.inspection.maps import KINDS, AttentionMaps, Kind, attention_layers
from translator.inspection.measures import silenced
from translator.preparation import prepare
from translator.training import Trainer

ROOT = Path(__file__).parent.parent
RECIPE = ROOT / "configs/everyday.yaml"
SHORT = [
    "train.max_steps=700", "model.dropout=0", "model.attention_dropout=0", "model.head_dropout=0",
    "validation.every_steps=700", "validation.samples=[]", "checkpoint.snapshots=0",
]  # fmt: skip
TEST, GOLD = ROOT / "data/everyday/test.tsv", ROOT / "data/everyday/test.align"
SENTENCE, TRANSLATION = (
    "My younger sister is reading a book at the library.",
    "제 여동생은 도서관에서 책을 읽고 있어요.",
)
SHOWN = [SENTENCE, "The train is faster than the bicycle.", "The bicycle is faster than the train."]

Looks = Iterator[tuple[str, Translator, Kind | None]]
"""What to look at: a title, the model, and which of its attentions to draw, if any."""


def temperature(path: Path) -> Looks:
    """Multiply the scores before softmax: below 1 flattens the looks, above 1 sharpens them. √48 undoes the √d."""
    translator = loaded(path)
    for factor in (1, 0, 0.25, 0.5, 2, math.sqrt(48), 1000):
        with changed("scale", lambda scores, width, factor=factor: factor * scores / math.sqrt(width)):
            yield f"scores × {factor:.4g}", translator, "cross"


def swap(path: Path) -> Looks:
    """Let queries and keys change places in one of the three attentions: who looks becomes who is looked at."""
    yield "normal", loaded(path), "encoder_self"
    for kind in KINDS:
        translator = loaded(path)
        for layer in attention_layers(translator.model)[kind]:
            layer.query, layer.key = layer.key, layer.query
        yield f"swapped in {figures.NAMES[kind]}", translator, kind


def silence(path: Path) -> Looks:
    """Silence heads of cross-attention: one after the other, then whole layers, then all but one in each layer."""
    translator = loaded(path)
    yield "normal", translator, None
    layers = attention_layers(translator.model)["cross"]
    heads = range(layers[0].heads)
    for number, layer in enumerate(layers, start=1):
        for head in heads:
            with silenced(layer, head):
                yield f"without layer {number}, head {head + 1}", translator, None
    groups = {f"without layer {number}": product([layer], heads) for number, layer in enumerate(layers, start=1)}
    for title, places in (groups | {"only head 1 of each layer": product(layers, heads[1:])}).items():
        with ExitStack() as all_silent:
            for place in places:
                all_silent.enter_context(silenced(*place))
            yield title, translator, None


def uniform(path: Path) -> Looks:
    """Make the queries of cross-attention zero: then all keys are equally like them, and every weight is 1/S."""
    translator = loaded(path)
    yield "normal", translator, "cross"
    count = len(translator.model.decoder)
    for numbers in [*([number] for number in range(count)), range(count)]:
        translator = loaded(path)
        for number in numbers:
            query = attention_layers(translator.model)["cross"][number].query
            query.weight.data.zero_(), query.bias.data.zero_()
        yield f"uniform in layer {', '.join(str(number + 1) for number in numbers)}", translator, "cross"


def blind(path: Path) -> Looks:
    """Cut cross-attention off, W_O = 0: whatever it finds adds nothing. The decoder writes without the English."""
    translator = loaded(path)
    yield "normal", translator, "cross"
    for layer in attention_layers(translator.model)["cross"]:
        layer.output.weight.data.zero_()
    yield "without cross-attention", translator, "cross"


def no_root(path: Path) -> Looks:
    """Train without the √d: the scores are the bare inner products."""
    yield "normal, 700 steps", trained(path, "normal"), "cross"
    with changed("scale", lambda scores, width: scores):
        yield "without √d", trained(path, "no-root"), "cross"


def no_mask(path: Path) -> Looks:
    """Train without the mask: the decoder sees the Korean that it is to predict."""
    yield "normal, 700 steps", trained(path, "normal"), "decoder_self"

    def everything(length: int, past: int = 0, device: torch.device | None = None) -> Tensor:
        return torch.ones(length, past + length, dtype=torch.bool, device=device)

    with mock.patch("translator.model.causal_mask", everything):
        yield "without the mask", trained(path, "no-mask"), "decoder_self"


def no_positions(path: Path) -> Looks:
    """Train without positions: a sentence is a heap of pieces."""
    yield "normal, 700 steps", trained(path, "normal"), None
    with mock.patch("translator.model.sinusoids", torch.zeros):
        yield "without positions", trained(path, "no-positions"), None


def small(path: Path) -> Looks:
    """Train with one head a layer, and with one layer a side."""
    yield "normal, 700 steps", trained(path, "normal"), "cross"
    yield "one head", trained(path, "one-head", "model.heads=1"), "cross"
    one_layer = trained(path, "one-layer", "model.encoder_layers=1", "model.decoder_layers=1")
    yield "one layer", one_layer, "cross"


def characters(path: Path) -> Looks:
    """Train on hardly more pieces than there are characters."""
    yield "normal, 700 steps", trained(path, "normal"), "cross"
    sizes = "tokenizer.english_size=310", "tokenizer.korean_size=770"
    yield "characters", trained(path, "characters", *sizes), "cross"


EXPERIMENTS: dict[str, Callable[[Path], Looks]] = {
    function.__name__.replace("_", "-"): function
    for function in (
        temperature, swap, silence, uniform, blind, no_root, no_mask, no_positions, small, characters
    )
}  # fmt: skip


def loaded(path: Path) -> Translator:
    """The best weights of a run, to be changed in memory."""
    translator = Translator.load(path)
    translator.fast = None  # its weights are laid out already, and would not follow a change
    return translator


def trained(path: Path, name: str, *settings: str) -> Translator:
    """The demo's recipe for 700 steps, in a run beside `path`; one that is there already is not trained again."""
    config = load_config(RECIPE, [f"run_dir={path.parent / f'short-{name}'}", *SHORT, *settings])
    directory = RunDirectory(config.run_dir)
    with directory.locked():
        corpus, data = prepare(config, directory)
        trainer = Trainer(config, directory, data, corpus.validation)
        if not trainer.finished:
            print(f"training {directory.path} ...", flush=True)
            trainer.train()
    return loaded(directory.path)


@contextmanager
def changed(name: str, function: Callable[..., Tensor]) -> Iterator[None]:
    """Inside, a function of attention.py is another, and it is called: torch's fused kernel would pass it by."""
    explicit = mock.patch.object(attention.MultiHeadAttention, "_explicit_is_faster", return_value=True)
    with mock.patch.object(attention, name, function), explicit:
        yield


def row(title: str, translator: Translator) -> str:
    """Measure a model: a line for the table."""
    pairs = read_pairs(str(TEST))
    english, korean = zip(*pairs, strict=True)
    scores = {name: one.of() for name, one in measures(translator.translate(english), korean).items()}
    loss = -sum(translator.score(pairs)) / len(pairs)
    aligned = align(translator.model, translator.english, translator.korean, pairs)
    heads = head_scores(aligned, read_gold(GOLD, pairs)).items()
    best = min(
        found.error_rate for head, found in heads if (head.measure, head.reading) == ("weights", "predicts")
    )
    return f"{title:34} {scores['exact match']:6.1f} {scores['chrF++']:7.1f} {loss:7.2f} {best:6.1f}"


def draw(panels: list[tuple[str, AttentionMaps, Kind]]) -> Figure:
    """One head of each model, side by side, reading the same pair of sentences."""
    across = min(len(panels), 4)
    down = -(-len(panels) // across)
    figure = Figure(layout="constrained")
    font = FontProperties(fname=str(figures.FONT), size=8)
    longest = [0, 0]
    for number, (title, maps, kind) in enumerate(panels, start=1):
        layer, head = (maps.best.layer, maps.best.head) if kind == "cross" and maps.best else (0, 0)
        weights = maps.arrays[f"{kind}.weights"][layer, head]
        longest = list(map(max, longest, weights.shape))
        axes = figure.add_subplot(down, across, number)
        axes.imshow(weights, cmap=figures.COLOURS, vmin=0, vmax=1)
        columns = maps.reads if kind == "decoder_self" else maps.source.pieces
        rows = maps.source.pieces if kind == "encoder_self" else maps.predicts
        axes.set_xticks(
            range(len(columns)), [figures.label(piece) for piece in columns], rotation=90, fontproperties=font
        )
        axes.set_yticks(range(len(rows)), [figures.label(piece) for piece in rows], fontproperties=font)
        axes.set_title(f"{title}\n{figures.NAMES[kind]}, layer {layer + 1}, head {head + 1}", fontproperties=font)
    figure.set_size_inches(across * (1.2 + 0.16 * longest[1]), down * (1.7 + 0.16 * longest[0]))
    return figure


def main() -> None:
    """Run one experiment, or list them all."""
    listed = "\n".join(f"  {name:13} {function.__doc__}" for name, function in EXPERIMENTS.items())
    parser = argparse.ArgumentParser(
        description=f"{__doc__}\n{listed}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=list(EXPERIMENTS), metavar="NAME", help="which experiment")
    parser.add_argument("run", nargs="?", type=Path, default=Path("runs/everyday"), metavar="RUN")
    args = parser.parse_args()
    RunDirectory.open(args.run)

    panels: list[tuple[str, AttentionMaps, Kind]] = []
    first: list[str] = []
    print(f"{'':34}  exact  chrF++    loss    AER")
    for title, translator, kind in EXPERIMENTS[args.name](args.run):
        line = row(title, translator)
        shown = [f"{en} → {ko}" for en, ko in zip(SHOWN, translator.translate(SHOWN), strict=True)]
        print(line, *(text for text in shown if text not in first), sep="\n    ", flush=True)
        first = first or shown  # later rows show what is other than in the first
        if kind:
            panels.append((title, translator.attention(SENTENCE, TRANSLATION, details=False), kind))
    if panels:
        picture = args.run / "experiments" / f"{args.name}.png"
        figures.save(draw(panels), picture)
        print(picture)


if __name__ == "__main__":
    run(main)

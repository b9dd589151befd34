"""Attention maps for other programs: a table for spreadsheets, links for aligners, and what bertviz reads."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from translator.errors import UserError
from translator.inspection import figures, page
from translator.inspection.alignment import Links, Method, hard_links, pharaoh
from translator.inspection.maps import KINDS, AttentionMaps
from translator.tokenizer import normalize


def write_bundle(maps: AttentionMaps, directory: Path, name: str, method: Method = "argmax") -> list[Path]:
    """Write all about one sentence pair, page, data and pictures; `maps.best` must be known. Returns the paths."""
    assert maps.best is not None
    layer, head = maps.best.layer, maps.best.head
    files = [page.write(maps, directory / f"{name}.html"), *maps.save(directory, name)]
    files.append(directory / f"{name}.align")
    files[-1].write_text(pharaoh(best_links(maps, method)) + "\n", encoding="utf-8")
    writers = {"csv": write_csv, "bertviz.json": write_bertviz}
    for suffix, write in writers.items():
        files.append(directory / f"{name}.{suffix}")
        write(maps, files[-1])
    pictures = {
        "cross": figures.draw_head(maps, layer, head),
        "cross-words": figures.draw_words(maps, layer, head, maps.best.reading),
        "cross-layer": figures.draw_heads(maps, "cross", layer),
        "cross-heads": figures.draw_heads(maps, "cross"),
        "encoder-heads": figures.draw_heads(maps, "encoder_self"),
        "decoder-heads": figures.draw_heads(maps, "decoder_self"),
        "three": figures.draw_three(maps, layer, head),
    }
    if maps.history:
        pictures["history"] = figures.draw_history(maps, layer, head)
    for kind, figure in pictures.items():
        for suffix in ("png", "svg", "pdf"):
            files.append(directory / f"{name}.{kind}.{suffix}")
            figures.save(figure, files[-1])
    return files


def read_sentences(path: Path) -> list[tuple[str, str | None]]:
    """English, and Korean where a tab divides them; empty lines are left out."""
    if not path.is_file():
        raise UserError(f"{path}: no such file of sentences")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason})") from None
    sentences: list[tuple[str, str | None]] = []
    for number, line in enumerate(lines, start=1):
        english, tab, korean = line.partition("\t")
        if normalize(english):
            sentences.append((english, korean if tab else None))
        elif normalize(korean):
            raise UserError(f"{path}, line {number}: no English before the tab")
    if not sentences:
        raise UserError(f"{path}: holds no sentence")
    return sentences


def write_sentences(many: Iterable[AttentionMaps], directory: Path, method: Method = "argmax") -> Path:
    """Write the data of many pairs, and index.json, which lists them in order; returns the index's path."""
    index = []
    for number, maps in enumerate(many, start=1):
        name = f"{number:04}-{file_name(maps.source.text)}"
        manifest, _ = maps.save(directory, name)
        index.append(
            {
                "file": manifest.name,
                "source": maps.source.text,
                "target": maps.target.text,
                "forced": maps.forced,
                "logprob": round(float(maps.logprobs.sum()), 4),
                "links": pharaoh(best_links(maps, method)),
            }
        )
    path = directory / "index.json"
    path.write_text(json.dumps(index, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return path


def file_name(sentence: str) -> str:
    """A short name for a sentence's files.

    >>> file_name("I don't know Minsu.")
    'i-don-t-know-minsu'
    """
    return re.sub(r"\W+", "-", sentence.lower()).strip("-")[:60].strip("-") or "sentence"


def write_csv(maps: AttentionMaps, path: Path) -> None:
    """A line a cell of every map, layers and all else counted from 0; in the decoder a query is a step."""
    header = ["attention", "layer", "head", "query", "reads", "predicts", "key", "key_piece", "weight", "norm"]
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(header)
        for kind in KINDS:
            weights, norms = maps.arrays[f"{kind}.weights"], maps.arrays[f"{kind}.norms"]
            english = kind == "encoder_self"
            reads = maps.source.pieces if english else maps.reads
            predicts = [""] * len(reads) if english else maps.predicts
            keys = maps.reads if kind == "decoder_self" else maps.source.pieces
            for layer, head, query, key in np.ndindex(weights.shape):
                place = layer, head, query, key
                numbers = f"{weights[place]:.9g}", f"{norms[place]:.9g}"  # enough to give the float32 back
                rows.writerow([kind, *place[:3], reads[query], predicts[query], key, keys[key], *numbers])


def best_links(maps: AttentionMaps, method: Method = "argmax") -> Links:
    """The hard links of the maps' best head, which must be known."""
    assert maps.best is not None
    best = maps.best
    queries, keys = maps.units("cross", best.reading)
    english, korean = (
        [unit.word for unit in units if unit.word is not None and not unit.special] for units in (keys, queries)
    )
    weights = maps.words("cross", best.reading, best.measure, specials=False).weights[best.layer, best.head]
    return hard_links(weights, english, korean, method)


def write_bertviz(maps: AttentionMaps, path: Path) -> None:
    """The arguments of bertviz's `head_view` and `model_view`, a batch of one (lists to be made tensors):

    data = json.load(open("NAME.bertviz.json"))
    head_view(**{k: [torch.tensor(x) for x in v] if k.endswith("attention") else v for k, v in data.items()})
    """
    data: dict[str, object] = {
        "encoder_attention": maps.encoder_self[:, None].tolist(),
        "decoder_attention": maps.decoder_self[:, None].tolist(),
        "cross_attention": maps.cross[:, None].tolist(),
        "encoder_tokens": maps.source.pieces,
        "decoder_tokens": maps.reads,
    }
    path.write_text(json.dumps(data, ensure_ascii=False) + "\n", encoding="utf-8")

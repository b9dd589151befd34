"""Attention maps: every layer and head of the three attentions for one sentence pair, as data.

Shapes: `L` layers, `H` heads, `S` English pieces, `T` steps of the decoder, `D` model width, `d` = D / H.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from html import escape
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from translator.attention import Captured, MultiHeadAttention, capture
from translator.decoding import Hypothesis, Search, decode_all, next_logprobs
from translator.errors import UserError
from translator.inspection import bundle, measures
from translator.inspection.words import Array, Sentence, Unit, Word, hide, merge
from translator.model import DecoderLayer, EncoderLayer, Transformer
from translator.scoring import AligningHead
from translator.tokenizer import BOS, EOS, Tokenizer

Kind = Literal["encoder_self", "decoder_self", "cross"]
KINDS: tuple[Kind, ...] = ("encoder_self", "decoder_self", "cross")
Measure = Literal["weights", "norms"]
Reading = Literal["reads", "predicts"]


@dataclass
class WordMap:
    """One attention, word by word."""

    queries: list[str]  # Q
    keys: list[str]  # K
    weights: Array  # L H Q K, rows sum to 1
    hidden: Array  # L H Q, the share of each row that lay on specials taken out; zeros if none were


@dataclass
class AttentionMaps:
    """What the model looked at while it read an English sentence and wrote, or was given, a Korean one.

    A decoder row is one step t: it *reads* piece t of `target`, begin mark first, and *predicts* piece t + 1.
    Every row of weights sums to 1; the future in `decoder_self` is exactly 0. `arrays` holds, by the names in
    `bundle.schema.json`: the weights and norms of all three attentions always; queries, keys, values and whatever
    else the arithmetic passes through, and the experiments, if details were asked for.
    """

    source: Sentence  # S pieces, the last is </s>
    target: Sentence  # T + 1 pieces, the first is <s>, the last </s> if the sentence was finished
    forced: bool
    """Whether the Korean was given, not found by the decoder."""
    arrays: dict[str, Array]
    measures: dict[str, dict[str, list[list[float]]]]
    """Of each attention, by name, of each layer and head."""
    model: dict[str, Any]
    """Its sizes, and the training step of its weights if they come from a run."""
    best: AligningHead | None = None
    """The head to look at first."""
    history: dict[str, Any] | None = None
    """If the same pair was looked at through the snapshots of a run: their steps, and curves over them."""

    @property
    def encoder_self(self) -> Array:
        """Weights (L, H, S, S) of English on English."""
        return self.arrays["encoder_self.weights"]

    @property
    def decoder_self(self) -> Array:
        """Weights (L, H, T, T) of Korean on Korean so far."""
        return self.arrays["decoder_self.weights"]

    @property
    def cross(self) -> Array:
        """Weights (L, H, T, S) of Korean on English."""
        return self.arrays["cross.weights"]

    @property
    def logprobs(self) -> Array:
        """Log-probability (T) of each predicted piece, in nats."""
        return self.arrays["logprobs"]

    @property
    def reads(self) -> list[str]:
        """The piece that each of the T decoder rows reads."""
        return self.target.pieces[:-1]

    @property
    def predicts(self) -> list[str]:
        """The piece that each of the T decoder rows predicts."""
        return self.target.pieces[1:]

    def units(self, kind: Kind, reading: Reading = "predicts") -> tuple[list[Unit], list[Unit]]:
        """What the rows and columns of one attention become when merged into words.

        A decoder row counts for the word it predicts or for the word it reads; a decoder column is always what
        was read.
        """
        steps = len(self.target.ids) - 1
        english = self.source.units(range(len(self.source.ids)))
        korean = self.target.units(range(1, steps + 1) if reading == "predicts" else range(steps))
        if kind == "encoder_self":
            return english, english
        return korean, english if kind == "cross" else self.target.units(range(steps))

    def words(
        self,
        kind: Kind = "cross",
        reading: Reading = "predicts",
        measure: Measure = "weights",
        specials: bool = True,
    ) -> WordMap:
        """One attention between words; `specials=False` takes out marks and punctuation and scales rows to 1."""
        queries, keys = self.units(kind, reading)
        weights = merge(self.arrays[f"{kind}.{measure}"], queries, keys)
        weights = weights / weights.sum(-1, keepdims=True)
        mass = np.zeros(weights.shape[:-1], dtype=np.float32)
        if not specials:
            weights, mass = hide(weights, [i for i, unit in enumerate(keys) if unit.special])
            shown = [i for i, unit in enumerate(queries) if not unit.special]
            weights, mass = weights[..., shown, :], mass[..., shown]
            queries, keys = ([unit for unit in units if not unit.special] for units in (queries, keys))
        return WordMap([unit.text for unit in queries], [unit.text for unit in keys], weights, mass)

    def save(self, directory: str | Path, name: str) -> list[Path]:
        """Write `name`.attn.json and `name`.attn.npz; returns both paths."""
        return bundle.write(self.manifest(), self.arrays, directory, name)

    @classmethod
    def load(cls, path: str | Path) -> AttentionMaps:
        """Read what `save` wrote; `path` is the manifest's."""
        manifest, arrays = bundle.read(path)
        return cls(
            source=_sentence(manifest["source"]),
            target=_sentence(manifest["target"]),
            forced=manifest["forced"],
            arrays=arrays,
            measures=manifest["measures"],
            model=manifest["model"],
            best=AligningHead(**manifest["best"]) if manifest["best"] else None,
            history=manifest["history"],
        )

    def manifest(self) -> dict[str, Any]:
        """All but the arrays, as `bundle.schema.json` has it."""
        return {
            "arrays": {name: _axes(name) for name in self.arrays},
            "source": _tokens(self.source),
            "target": _tokens(self.target),
            "forced": self.forced,
            "measures": self.measures,
            "best": asdict(self.best) if self.best else None,
            "model": self.model,
            "history": self.history,
        }

    def _repr_html_(self) -> str:
        """For notebooks: the head to look at first, as a table."""
        layer, head = (self.best.layer, self.best.head) if self.best else (-1, 0)
        cells = [
            "".join(f'<td style="background:rgba(8,81,156,{w:.3f})" title="{w:.4f}"></td>' for w in row)
            for row in self.cross[layer, head]
        ]
        steps = [f"{escape(a)} → {escape(b)}" for a, b in zip(self.reads, self.predicts, strict=True)]
        rows = "".join(
            f'<tr><th style="text-align:right">{s}</th>{c}</tr>' for s, c in zip(steps, cells, strict=True)
        )
        columns = "".join(f"<th>{escape(piece)}</th>" for piece in self.source.pieces)
        layer %= len(self.cross)
        return (
            f"<table><caption>{escape(self.source.text)}<br>{escape(self.target.text)}<br>cross-attention, "
            f"decoder layer {layer + 1}, head {head + 1}; rows: piece read → piece predicted</caption>"
            f"<tr><th></th>{columns}</tr>{rows}</table>"
        )


def _axes(name: str) -> list[str]:
    """What the axes of an array are, in words."""
    past, _, name = name.rpartition("history.")
    place, _, what = name.rpartition(".")
    queries, keys = {
        "encoder_self": ("source", "source"),
        "decoder_self": ("step", "step"),
        "cross": ("step", "source"),
        "source": ("source", ""),
    }.get(place, ("step", ""))
    shape = {
        "logprobs": ["step"],
        "occlusion": ["step", "source word"],
        "weights": ["layer", "head", queries, keys],
        "norms": ["layer", "head", queries, keys],
        "scores": ["layer", "head", queries, keys],
        "queries": ["layer", "head", queries, "head width"],
        "keys": ["layer", "head", keys, "head width"],
        "values": ["layer", "head", keys, "head width"],
        "heads": ["layer", "head", queries, "head width"],
        "inputs": ["layer", queries, "width"],
        "outputs": ["layer", queries, "width"],
        "rollout": ["layer", queries, keys],
    }.get(what, [queries, "width"])
    return ["snapshot", *shape] if past else shape


def _tokens(sentence: Sentence) -> dict[str, Any]:
    """A sentence as the manifest has it: an object a piece, and an object a word."""
    word_of = {piece: number for number, word in enumerate(sentence.words) for piece in word.pieces}
    rows = enumerate(zip(sentence.ids, sentence.pieces, sentence.spans, strict=True))
    return {
        "text": sentence.text,
        "pieces": [
            {"id": id, "piece": piece, "span": list(span), "word": word_of.get(i)} for i, (id, piece, span) in rows
        ],
        "words": [
            asdict(word) | {"span": list(word.span), "punctuation": word.punctuation} for word in sentence.words
        ],
    }


def _sentence(tokens: dict[str, Any]) -> Sentence:
    """What `_tokens` wrote."""
    ids, pieces, spans = ([piece[key] for piece in tokens["pieces"]] for key in ("id", "piece", "span"))
    words = [Word(w["text"], (w["span"][0], w["span"][1]), w["pieces"], w["known"]) for w in tokens["words"]]
    return Sentence(tokens["text"], ids, pieces, [(start, end) for start, end in spans], words)


def attention_layers(model: Transformer) -> dict[Kind, list[MultiHeadAttention]]:
    """The layers of each attention, first to last."""
    return {
        "encoder_self": [cast(EncoderLayer, layer).self_attention for layer in model.encoder],
        "decoder_self": [cast(DecoderLayer, layer).self_attention for layer in model.decoder],
        "cross": [cast(DecoderLayer, layer).cross_attention for layer in model.decoder],
    }


def captured_by_kind(
    model: Transformer, captured: dict[str, list[Captured]]
) -> dict[Kind, list[tuple[Captured, MultiHeadAttention]]]:
    """What `capture` kept of one pass, with the layers that computed it, first to last."""
    calls = {id(layer): captured[name][0] for name, layer in model.named_modules() if name in captured}
    kinds = attention_layers(model).items()
    return {kind: [(calls[id(layer)], layer) for layer in layers] for kind, layers in kinds}


@torch.inference_mode()
def attention_maps(
    model: Transformer,
    english: Tokenizer,
    korean: Tokenizer,
    text: str,
    target: str | Hypothesis | None = None,
    beam: int = 1,
    known_words: set[str] | None = None,
    details: bool = True,
) -> AttentionMaps:
    """Maps of one sentence and its translation, found here or before, or of a Korean `target` that you give.

    The maps come from one pass over the pieces that the decoder itself chose (its text encoded again might be
    cut otherwise), which sees exactly what the decoder saw step by step. `details` adds to weights and norms all
    that the arithmetic passes through, occlusion, ablation and rollout.
    """
    ids = english.encode(text)
    if not ids:
        raise UserError("there is no text to look at")
    if target is None:
        [(_, [target, *_])] = decode_all(model, [ids], Search(beam=beam))
    forced = isinstance(target, str)
    if isinstance(target, str):
        target_ids, finished = korean.encode(target), True
    else:
        target_ids, finished = target.ids, target.finished
    source = Sentence.of([*ids, EOS], english, known_words)
    # Where the length limit cut the sentence, the last piece was predicted but never read.
    written = Sentence.of([BOS, *target_ids, *[EOS] * finished], korean)
    arrays = look(model, source.ids, written.ids, details)
    heads = {
        kind: {
            "entropy": measures.entropy(arrays[f"{kind}.weights"]),
            "confidence": measures.confidence(arrays[f"{kind}.weights"]),
            # The mark at the end of the English, at the beginning of the Korean: where looks rest.
            "mark_share": arrays[f"{kind}.weights"][..., 0 if kind == "decoder_self" else -1].mean(-1),
            "diagonality": measures.diagonality(arrays[f"{kind}.weights"]),
        }
        for kind in KINDS
    }
    if details:
        pair = source.ids, written.ids[:-1], written.ids[1:]
        for kind, layers in attention_layers(model).items():
            heads[kind]["ablation"] = measures.ablation(model, layers, pair)
        arrays["occlusion"] = measures.occlusion(model, pair, [word.pieces for word in source.words])
        arrays["encoder_self.rollout"] = measures.rollout(arrays["encoder_self.weights"])
    return AttentionMaps(
        source,
        written,
        forced=forced,
        arrays=arrays,
        measures={kind: {name: m.tolist() for name, m in found.items()} for kind, found in heads.items()},
        model=describe(model),
    )


@torch.inference_mode()
def look(model: Transformer, source: Sequence[int], target: Sequence[int], details: bool) -> dict[str, Array]:
    """The arrays that one pass over a pair of id sequences gives, marks included."""
    source_ids = torch.tensor([list(source)], device=model.device)
    reads = torch.tensor([list(target[:-1])], device=model.device)
    with capture(model) as captured:
        memory = model.encode(source_ids)
        logits = model.decode(reads, memory)
    found: dict[str, Tensor] = {
        "logprobs": next_logprobs(logits[0])[torch.arange(reads.size(1)), list(target[1:])],
    }
    for kind, layers in captured_by_kind(model, captured).items():
        found[f"{kind}.weights"] = torch.cat([seen.weights for seen, _ in layers])
        found[f"{kind}.norms"] = torch.cat([measures.norms(seen, layer) for seen, layer in layers])
        if details:
            for name in ("scores", "queries", "keys", "values", "heads", "inputs", "outputs"):
                found[f"{kind}.{name}"] = torch.cat([getattr(seen, name) for seen, _ in layers])
    if details:
        for side, embedding, ids in (
            ("source", model.source_embedding, source_ids),
            ("target", model.target_embedding, reads),
        ):
            found[f"{side}.embedding"] = embedding.tokens(ids)[0] * math.sqrt(embedding.tokens.embedding_dim)
            found[f"{side}.positions"] = embedding.positions[: ids.size(1)]
        found["source.states"] = memory.states[0]
    return {name: tensor.float().cpu().numpy() for name, tensor in found.items()}


def chosen_head(
    model: Transformer,
    found: AligningHead | None,
    layer: int | None = None,
    head: int | None = None,
    reading: Reading | None = None,
    measure: Measure | None = None,
) -> AligningHead:
    """The head to show first: the one that was `found` (without one the first of the last layer), but for what a
    reader asks for instead; `layer` and `head` are counted from 1, and given together."""
    sizes = describe(model)
    layers, heads = sizes["decoder_layers"], sizes["heads"]
    best = found or AligningHead(layers - 1, 0)
    if layer is not None and head is not None:
        best = replace(best, layer=layer - 1, head=head - 1, chosen_by="hand")
    if not (0 <= best.layer < layers and 0 <= best.head < heads):
        raise UserError(f"this model has decoder layers 1 to {layers} with heads 1 to {heads}")
    return replace(best, reading=reading or best.reading, measure=measure or best.measure)


def describe(model: Transformer) -> dict[str, Any]:
    """The model's sizes, for the manifest."""
    first = attention_layers(model)["cross"][0]
    return {
        "width": first.query.in_features,
        "heads": first.heads,
        "head_width": first.query.in_features // first.heads,
        "encoder_layers": len(model.encoder),
        "decoder_layers": len(model.decoder),
        "norm": "pre" if isinstance(model.encoder_norm, torch.nn.LayerNorm) else "post",
        "source_vocabulary": model.source_embedding.tokens.num_embeddings,
        "target_vocabulary": model.target_embedding.tokens.num_embeddings,
        "parameters": sum(p.numel() for p in model.parameters()),
    }

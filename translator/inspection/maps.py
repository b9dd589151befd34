"""Attention maps: every layer and head of the three attentions for one sentence, as data.

Shapes: `L` layers, `H` heads, `S` English pieces, `T` Korean ones, end marks included.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from translator.attention import Captured, capture
from translator.decoding import Search, decode_all, next_logprobs
from translator.errors import UserError
from translator.model import Transformer
from translator.tokenizer import BOS, EOS, Tokenizer

SCHEMA = 1
"""Version of the layout of `NAME.attn.json`."""

Weights = NDArray[np.float32]


@dataclass
class AttentionMaps:
    """What the model looked at while it read one English sentence and wrote its Korean translation.

    A decoder row is one step: the model *reads* `target_in[t]` and *predicts* `target_out[t]`, the next piece.
    Every row of every map sums to 1; the future in `decoder_self` is exactly 0.
    """

    source_text: str
    target_text: str
    source: list[str]  # S pieces, the last is </s>
    target_in: list[str]  # T pieces, the first is <s>
    target_out: list[str]  # T pieces, the last is </s>
    logprobs: Weights  # T, of each predicted piece
    encoder_self: Weights  # L H S S
    decoder_self: Weights  # L H T T
    cross: Weights  # L H T S

    def save(self, directory: str | Path, name: str) -> list[Path]:
        """Write `name`.attn.json (labels) and `name`.attn.npz (arrays, float32); returns both paths."""
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        manifest, arrays = directory / f"{name}.attn.json", directory / f"{name}.attn.npz"
        np.savez_compressed(arrays, **{key: getattr(self, key) for key in _ARRAYS})
        labels = {
            "schema": SCHEMA,
            "arrays": arrays.name,
            "axes": _ARRAYS,
            "source_text": self.source_text,
            "target_text": self.target_text,
            "source": self.source,
            "target_in": self.target_in,
            "target_out": self.target_out,
        }
        manifest.write_text(json.dumps(labels, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return [manifest, arrays]

    @classmethod
    def load(cls, manifest: str | Path) -> AttentionMaps:
        """Read what `save` wrote."""
        manifest = Path(manifest)
        labels = json.loads(manifest.read_text(encoding="utf-8"))
        if labels.pop("schema") != SCHEMA:
            raise UserError(f"{manifest}: written by another version; export the maps again")
        labels.pop("axes")
        with np.load(manifest.parent / labels.pop("arrays"), allow_pickle=False) as arrays:
            return cls(**labels, **{key: arrays[key] for key in _ARRAYS})


_ARRAYS = {
    "logprobs": ["target"],
    "encoder_self": ["layer", "head", "source query", "source key"],
    "decoder_self": ["layer", "head", "target query", "target key"],
    "cross": ["layer", "head", "target query", "source key"],
}


@torch.inference_mode()
def attention_maps(
    model: Transformer,
    english: Tokenizer,
    korean: Tokenizer,
    text: str,
    target: str | None = None,
    beam: int = 1,
) -> AttentionMaps:
    """Maps of one sentence and its translation, or of a Korean sentence `target` that you give.

    The maps come from one pass over the pieces that the decoder itself chose (its text encoded again might be
    cut otherwise), which sees exactly what the decoder saw step by step.
    """
    device = next(model.parameters()).device
    ids = english.encode(text)
    if not ids:
        raise UserError("there is no text to look at")
    if target is None:
        [(_, found)] = decode_all(model, [ids], Search(beam=beam))
        target_ids, finished = found[0].ids, found[0].finished
    else:
        target_ids, finished = korean.encode(target), True
    source_ids = [*ids, EOS]
    predicted = [*target_ids, EOS] if finished else target_ids  # the limit may have cut it before its end
    read = [BOS, *target_ids][: len(predicted)]
    with capture(model) as captured:
        logits = model(torch.tensor([source_ids], device=device), torch.tensor([read], device=device))
    logprobs = next_logprobs(logits[0])[torch.arange(len(predicted)), predicted]
    return AttentionMaps(
        source_text=text,
        target_text=korean.decode(target_ids),
        source=english.pieces(source_ids),
        target_in=korean.pieces(read),
        target_out=korean.pieces(predicted),
        logprobs=logprobs.float().cpu().numpy(),
        encoder_self=_stack(captured, "encoder.", "self_attention"),
        decoder_self=_stack(captured, "decoder.", "self_attention"),
        cross=_stack(captured, "decoder.", "cross_attention"),
    )


def _stack(captured: dict[str, list[Captured]], start: str, end: str) -> Weights:
    """The weights of all layers of one kind, in the order of the layers: (L, H, queries, keys)."""
    layers = [calls[0] for name, calls in captured.items() if name.startswith(start) and name.endswith(end)]
    return torch.stack([layer.weights[0].float() for layer in layers]).cpu().numpy()

"""To CTranslate2, an engine that only translates, in int8 several times as fast as torch on a CPU.

Every switch of `ModelConfig` has its place in CTranslate2's specification, so every run can be exported.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from translator.atomic import make_once
from translator.attention import MultiHeadAttention
from translator.batching import by_length
from translator.checkpoint import RunDirectory
from translator.config import ModelConfig
from translator.decoding import GREEDY, Hypothesis, Search, length_limit, length_penalty
from translator.errors import UserError
from translator.model import Embedding, Residual, Transformer
from translator.tokenizer import BOS, EOS, PAD, UNK, Tokenizer

POSITIONS = 1024
"""Length of the position table of an exported model. CTranslate2's own sinusoids are others than the paper's."""


def engine() -> Any:
    """The module `ctranslate2`."""
    try:
        import ctranslate2
    except ImportError:
        raise UserError("CTranslate2 is not installed: pip install 'ctranslate2>=4.6,<5'") from None
    return ctranslate2


def export(
    model: Transformer,
    config: ModelConfig,
    english: Tokenizer,
    korean: Tokenizer,
    directory: Path,
    precision: str = "float32",
) -> None:
    """Write `model` and its tokenizers (en.model, ko.model) as a CTranslate2 model directory."""
    specs = engine().specs
    activation = specs.Activation.RELU if config.activation == "relu" else specs.Activation.GELU
    spec = specs.TransformerSpec.from_config(
        (config.encoder_layers, config.decoder_layers),
        config.heads,
        pre_norm=config.norm == "pre",
        activation=activation,
    )
    stacks: list[tuple[Any, Embedding, Any, Any]] = [
        (spec.encoder, model.source_embedding, model.encoder, model.encoder_norm),
        (spec.decoder, model.target_embedding, model.decoder, model.decoder_norm),
    ]
    for side, embedding, layers, norm in stacks:
        tokens: Any = side.embeddings[0] if side is spec.encoder else side.embeddings
        tokens.weight = _array(embedding.tokens.weight)
        side.position_encodings.encodings = embedding.position_table(POSITIONS).numpy()
        if config.norm == "pre":
            _norm(side.layer_norm, norm)
        for layer, to in zip(layers, side.layer, strict=True):
            _attention(to.self_attention, layer.self_attention, layer.residuals[0])
            if side is spec.decoder:
                _attention(to.attention, layer.cross_attention, layer.residuals[1], across=True)
            first, *_, second = (part for part in layer.feed_forward if hasattr(part, "weight"))
            _linear(to.ffn.linear_0, first)
            _linear(to.ffn.linear_1, second)
            _norm(to.ffn.layer_norm, layer.residuals[-1].norm)
    _linear(spec.decoder.projection, model.output)
    # The bias keeps the engine from pieces that no sentence holds, as `next_logprobs` does.
    spec.decoder.projection.bias = np.where(np.isin(np.arange(korean.size), (UNK, PAD, BOS)), -1e4, 0.0).astype(
        "f4"
    )
    spec.register_source_vocabulary(english.pieces(list(range(english.size))))
    spec.register_target_vocabulary(korean.pieces(list(range(korean.size))))
    spec.config.unk_token, spec.config.bos_token, spec.config.eos_token = korean.pieces([UNK, BOS, EOS])
    spec.config.decoder_start_token, spec.config.add_source_eos = spec.config.bos_token, True
    spec.validate()
    spec.optimize(None if precision == "float32" else precision)
    directory.mkdir(parents=True, exist_ok=True)
    spec.save(str(directory))
    for name, tokenizer in (("en", english), ("ko", korean)):
        (directory / f"{name}.model").write_bytes(tokenizer.model)


def _array(parameter: Any) -> Any:
    return parameter.detach().float().cpu().numpy()


def _linear(to: Any, *layers: nn.Linear) -> None:
    """Several linear layers of one input become one, their outputs side by side."""
    to.weight = np.concatenate([_array(layer.weight) for layer in layers])
    if layers[0].bias is not None:
        to.bias = np.concatenate([_array(layer.bias) for layer in layers])


def _norm(to: Any, norm: nn.Module) -> None:
    to.gamma, to.beta = _array(norm.weight), _array(norm.bias)


def _attention(to: Any, attention: MultiHeadAttention, residual: Residual, across: bool = False) -> None:
    inputs = (attention.query, attention.key, attention.value)
    for place, layers in enumerate((inputs[:1], inputs[1:]) if across else (inputs,)):
        _linear(to.linear[place], *layers)
    _linear(to.linear[-1], attention.output)
    _norm(to.layer_norm, residual.norm)


def export_of(run: RunDirectory, model: Transformer) -> Path:
    """The run's best weights as a CTranslate2 model, written to `export/` in the run when first asked for and
    again when the weights have changed."""
    folder = run.path / "export"
    with open(run.path / "best" / "model.safetensors", "rb") as file:
        path = folder / f"ctranslate2-{hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"
    outdated = set(folder.glob("ctranslate2-*")) - {path}
    sizes, tokenizers = run.config().model, (run.tokenizer("en"), run.tokenizer("ko"))
    make_once(path, lambda aside: export(model, sizes, *tokenizers, aside))
    for old in outdated:
        shutil.rmtree(old, ignore_errors=True)
    return path


class ExportedModel:
    """What `export` wrote, ready to translate."""

    def __init__(self, path: Path, precision: str = "int8") -> None:
        self.english, self.korean = Tokenizer.load(path / "en.model"), Tokenizer.load(path / "ko.model")
        supported = engine().get_supported_compute_types("cpu")
        if precision not in supported:
            raise UserError(
                f"CTranslate2 has no {precision} on this processor, only {', '.join(sorted(supported))}"
            )
        # A batch a core: for sentences this short that uses two cores far better than two threads a batch.
        self.workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self._ids = {piece: i for i, piece in enumerate(self.korean.pieces(list(range(self.korean.size))))}
        self._translator = engine().Translator(
            str(path), compute_type=precision, inter_threads=self.workers, intra_threads=1
        )

    def decode_all(
        self,
        sources: Sequence[list[int]],
        search: Search = GREEDY,
        prefixes: Sequence[list[int]] | None = None,
        batch_size: int = 32,
    ) -> Iterator[tuple[int, list[Hypothesis]]]:
        """As `decoding.decode_all`, batches side by side on all cores.

        Pieces cannot be drawn here, and where `min_length` hides the end mark, CTranslate2 shares out its
        probability among the other pieces.
        """
        if search.temperature > 0:
            raise UserError("CTranslate2 draws other pieces in other batches: sample with the torch engine")
        limits = [search.max_length or length_limit(len(ids) + 1) for ids in sources]

        def submit(rows: list[int]) -> Any:
            return self._translator.translate_batch(
                [self.english.pieces(sources[i]) for i in rows],
                [self.korean.pieces(prefixes[i]) for i in rows] if prefixes else None,
                asynchronous=True,
                beam_size=search.beam,
                num_hypotheses=search.beam,
                length_penalty=0,  # scores come back as sums of log-probabilities
                max_input_length=0,
                max_decoding_length=limits[rows[0]],
                min_decoding_length=search.min_length,
                return_scores=True,
                return_end_token=True,
            )

        batches = by_length(sources, max(1, min(batch_size, -(-len(sources) // self.workers))))
        running = [submit(rows) for rows in batches]
        for rows, results in zip(batches, running, strict=True):
            for i, result in zip(rows, results, strict=True):
                found = self._hypotheses(result.result(), search)
                if any(len(h.ids) + h.finished > limits[i] for h in found):  # the batch's limit is its longest's
                    found = self._hypotheses(submit([i])[0].result(), search)
                yield i, found

    def _hypotheses(self, result: Any, search: Search) -> list[Hypothesis]:
        """Best first, scored as `decoding` does."""
        found = []
        for pieces, total in zip(result.hypotheses, result.scores, strict=True):
            ids = [self._ids[piece] for piece in pieces]
            finished = ids[-1:] == [EOS]
            score = total / length_penalty(len(ids), search)
            found.append(Hypothesis(ids[:-1] if finished else ids, total, score, finished))
        return sorted(found, key=lambda h: (not h.finished, -h.score))

"""Hugging Face `generate` with this project's weights, for decode_speed.py. Needs transformers and safetensors.

M2M100 is the same pre-norm Transformer; the two embeddings and the position table are put in their places.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from transformers import M2M100Config, M2M100ForConditionalGeneration

NAMES = {
    "source_embedding.tokens.weight": "model.encoder.embed_tokens.weight",
    "target_embedding.tokens.weight": "model.decoder.embed_tokens.weight",
    "encoder_norm": "model.encoder.layer_norm",
    "decoder_norm": "model.decoder.layer_norm",
    "self_attention.query": "self_attn.q_proj",
    "self_attention.key": "self_attn.k_proj",
    "self_attention.value": "self_attn.v_proj",
    "self_attention.output": "self_attn.out_proj",
    "cross_attention.query": "encoder_attn.q_proj",
    "cross_attention.key": "encoder_attn.k_proj",
    "cross_attention.value": "encoder_attn.v_proj",
    "cross_attention.output": "encoder_attn.out_proj",
    "feed_forward.0": "fc1",
    "feed_forward.3": "fc2",
}


class Peer:
    """A model of `generate` from weights, a table of positions (length, width) and the sizes of `ModelConfig`."""

    def __init__(self, weights: Path, positions: torch.Tensor, sizes: dict[str, Any]) -> None:
        tensors = load_file(weights)
        source, target = tensors["source_embedding.tokens.weight"], tensors["target_embedding.tokens.weight"]
        assert sizes["norm"] == "pre" and sizes["tie_embeddings"]
        self.model = M2M100ForConditionalGeneration(M2M100Config(
            vocab_size=len(target), d_model=sizes["width"], encoder_layers=sizes["encoder_layers"],
            decoder_layers=sizes["decoder_layers"], encoder_attention_heads=sizes["heads"],
            decoder_attention_heads=sizes["heads"], encoder_ffn_dim=sizes["feed_forward"],
            decoder_ffn_dim=sizes["feed_forward"], activation_function=sizes["activation"], scale_embedding=True,
            max_position_embeddings=len(positions), pad_token_id=1, bos_token_id=2, eos_token_id=3,
            decoder_start_token_id=2, dropout=0.0, encoder_layerdrop=0.0, decoder_layerdrop=0.0,
            tie_word_embeddings=False,
        )).eval()  # fmt: skip
        model = self.model.model
        scale = sizes["width"] ** 0.5
        model.encoder.embed_tokens = type(model.encoder.embed_tokens)(len(source), sizes["width"], 1, scale)
        model.decoder.embed_tokens = type(model.decoder.embed_tokens)(len(target), sizes["width"], 1, scale)
        state = {rename(name): tensor for name, tensor in tensors.items()}
        state["lm_head.weight"] = target
        missing, unexpected = self.model.load_state_dict(state, strict=False)
        assert not unexpected, unexpected
        assert set(missing) <= {"model.shared.weight"}, missing
        for side in (model.encoder, model.decoder):  # its positions count from 2
            side.embed_positions.weights = nn.functional.pad(positions, (0, 0, 2, 0))

    @torch.inference_mode()
    def translate(self, sources: list[list[int]], batch: int, beam: int, length: int | None) -> list[list[int]]:
        """Korean ids of each source; `length` forces so many pieces."""
        found: list[list[int]] = [[] for _ in sources]
        order = sorted(range(len(sources)), key=lambda i: -len(sources[i]))
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            width = len(sources[rows[0]]) + 1
            ids = torch.tensor([[*sources[i], 3] + [1] * (width - 1 - len(sources[i])) for i in rows])
            most = length or 10 + 2 * width
            result = self.model.generate(
                input_ids=ids, attention_mask=(ids != 1).long(), num_beams=beam, do_sample=False,
                min_new_tokens=length, max_new_tokens=most, early_stopping=beam > 1,
            )  # fmt: skip
            for i, row in zip(rows, result.tolist(), strict=True):
                found[i] = [piece for piece in row if piece > 3]
        return found


def rename(name: str) -> str:
    """This project's name of a tensor, in theirs."""
    if ".residuals." in name:
        stack, layer, _, which, _, kind = name.split(".")
        last = {"encoder": "1", "decoder": "2"}[stack]
        norm = {"0": "self_attn_layer_norm", "1": "encoder_attn_layer_norm"} | {last: "final_layer_norm"}
        return f"model.{stack}.layers.{layer}.{norm[which]}.{kind}"
    for ours, theirs in NAMES.items():
        name = name.replace(ours, theirs)
    for stack in ("encoder", "decoder"):
        if name.startswith(f"{stack}."):
            name = f"model.{stack}.layers.{name.removeprefix(f'{stack}.')}"
    return name

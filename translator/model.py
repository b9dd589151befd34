"""The encoder-decoder Transformer of "Attention Is All You Need" (Vaswani et al. 2017).

The encoder reads the English sentence; the decoder writes the Korean one, a piece at a time, looking back at
its own pieces (masked self-attention) and across at the encoder's output (cross-attention).

Shapes: `B` batch, `S` source length, `T` target length, `D` model width, `H` heads, `V` Korean vocabulary, `K`
hypotheses a sentence (1 but for beam search).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translator.attention import MultiHeadAttention, causal_mask
from translator.config import ModelConfig
from translator.tokenizer import PAD


class Embedding(nn.Module):
    """Ids to vectors, scaled by √D, plus where they stand in the sentence (sections 3.4 and 3.5)."""

    positions: Tensor  # length D

    def __init__(self, vocabulary: int, config: ModelConfig) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, config.width, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        self.register_buffer("positions", sinusoids(256, config.width), persistent=False)

    def forward(self, ids: Tensor, start: int = 0) -> Tensor:
        """(B, T) ids, the first at position `start` → (B, T, D)."""
        end = start + ids.size(1)
        if end > len(self.positions):  # longer than any sentence before: double the table
            self.positions = sinusoids(2 * end, self.positions.size(1)).to(self.positions)
        x = self.tokens(ids) * math.sqrt(self.tokens.embedding_dim) + self.positions[start:end]
        return self.dropout(x)  # type: ignore[no-any-return]


def sinusoids(length: int, width: int) -> Tensor:
    """The position table (length, D): sin in even columns, cos in odd ones, of ever lower frequency."""
    position = torch.arange(length).unsqueeze(1)  # length 1
    frequency = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))  # D/2
    return torch.stack([(position * frequency).sin(), (position * frequency).cos()], dim=-1).flatten(1)


class FeedForward(nn.Sequential):
    """Two linear layers, applied at every position alike (section 3.3)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(
            nn.Linear(config.width, config.feed_forward),
            nn.ReLU() if config.activation == "relu" else nn.GELU(),
            Dropout(config.dropout),
            nn.Linear(config.feed_forward, config.width),
        )


class Residual(nn.Module):
    """x + sublayer(x), with LayerNorm before the sublayer ("pre") or after the sum ("post", as in the paper)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.pre = config.norm == "pre"
        self.norm = nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, sublayer: Callable[[Tensor], Tensor]) -> Tensor:
        """(B, T, D) → (B, T, D)."""
        if self.pre:
            return x + self.dropout(sublayer(self.norm(x)))  # type: ignore[no-any-return]
        return self.norm(x + self.dropout(sublayer(x)))  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Self-attention over the English sentence, then the feed-forward network."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(config.width, config.heads, config.attention_dropout)
        self.feed_forward = FeedForward(config)
        self.residuals = nn.ModuleList(Residual(config) for _ in range(2))

    def forward(self, x: Tensor, padding: Tensor) -> Tensor:
        """(B, S, D), looking where the mask `padding` allows → (B, S, D)."""
        x = self.residuals[0](x, lambda y: self.self_attention(y, y, padding))
        return self.residuals[1](x, self.feed_forward)  # type: ignore[no-any-return]


@dataclass
class Memory:
    """The encoded English sentences."""

    states: Tensor  # B S D
    padding: Tensor  # B 1 1 S, the mask: False at padding

    def keep(self, sentences: Tensor) -> Memory:
        """Only these sentences."""
        return Memory(self.states[sentences], self.padding[sentences])


@dataclass
class LayerCache:
    """Keys and values one decoder layer need not compute again: of the Korean so far, and of the English."""

    korean: tuple[Tensor, Tensor] | None = None  # B·K H T d each
    english: tuple[Tensor, Tensor] | None = None  # B H S d each, shared by a sentence's hypotheses

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append the newest Korean keys and values; returns all so far."""
        if self.korean is not None:
            keys = torch.cat([self.korean[0], keys], dim=2)
            values = torch.cat([self.korean[1], values], dim=2)
        self.korean = keys, values
        return self.korean


class DecoderLayer(nn.Module):
    """Masked self-attention over the Korean so far, cross-attention to the English, the feed-forward network."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(config.width, config.heads, config.attention_dropout)
        self.cross_attention = MultiHeadAttention(config.width, config.heads, config.attention_dropout)
        self.feed_forward = FeedForward(config)
        self.residuals = nn.ModuleList(Residual(config) for _ in range(3))

    def forward(self, x: Tensor, memory: Memory, causal: Tensor | None, cache: LayerCache) -> Tensor:
        """(B·K, T, D), the Korean that `cache` does not hold yet → (B·K, T, D)."""
        x = self.residuals[0](x, lambda y: self._look_back(y, causal, cache))
        x = self.residuals[1](x, lambda y: self._look_across(y, memory, cache))
        return self.residuals[2](x, self.feed_forward)  # type: ignore[no-any-return]

    def _look_back(self, x: Tensor, causal: Tensor | None, cache: LayerCache) -> Tensor:
        keys, values = cache.extend(*self.self_attention.keys_values(x))
        return self.self_attention.look(x, keys, values, causal)

    def _look_across(self, x: Tensor, memory: Memory, cache: LayerCache) -> Tensor:
        if cache.english is None:
            cache.english = self.cross_attention.keys_values(memory.states)
        # The K hypotheses of a sentence look at the same English words: K rows of T queries become one row of
        # K·T queries, so the English keys and values are never copied. With K = 1 nothing changes.
        rows = x.reshape(len(memory.states), -1, x.size(-1))  # B·K T D -> B K·T D
        return self.cross_attention.look(rows, *cache.english, memory.padding).view_as(x)


@dataclass
class DecoderCache:
    """What the decoder remembers between steps of writing a sentence."""

    layers: list[LayerCache]
    length: int = 0
    """Target tokens read so far."""

    def select(self, hypotheses: Tensor) -> None:
        """Go on with these rows of B·K, in this order; a row may be taken twice."""
        for layer in self.layers:
            assert layer.korean is not None
            layer.korean = layer.korean[0][hypotheses], layer.korean[1][hypotheses]

    def keep(self, sentences: Tensor) -> None:
        """Drop the English keys and values of all sentences but these."""
        for layer in self.layers:
            assert layer.english is not None
            layer.english = layer.english[0][sentences], layer.english[1][sentences]


class Transformer(nn.Module):
    """English ids in, scores of the next Korean piece out."""

    def __init__(self, config: ModelConfig, source_vocabulary: int, target_vocabulary: int) -> None:
        super().__init__()
        self.source_embedding = Embedding(source_vocabulary, config)
        self.target_embedding = Embedding(target_vocabulary, config)
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        # With "pre" the last residual leaves without a LayerNorm, so one stands after each stack.
        self.encoder_norm = nn.LayerNorm(config.width) if config.norm == "pre" else nn.Identity()
        self.decoder_norm = nn.LayerNorm(config.width) if config.norm == "pre" else nn.Identity()
        self.output = nn.Linear(config.width, target_vocabulary, bias=False)
        self.apply(_initialize)
        if config.tie_embeddings:
            self.output.weight = self.target_embedding.tokens.weight

    def forward(self, source: Tensor, target: Tensor) -> Tensor:
        """(B, S) English ids and (B, T) Korean ids → (B, T, V): at each position, scores of the piece after it."""
        return self.decode(target, self.encode(source))

    def encode(self, source: Tensor) -> Memory:
        """Read the English sentences, (B, S) ids."""
        padding = (source != PAD)[:, None, None, :]  # B 1 1 S
        x = self.source_embedding(source)
        for layer in self.encoder:
            x = layer(x, padding)
        return Memory(self.encoder_norm(x), padding)

    def decode(self, target: Tensor, memory: Memory, cache: DecoderCache | None = None) -> Tensor:
        """(B·K, T) Korean ids → (B·K, T, V). With a cache, `target` holds only what it has not seen yet."""
        cache = self.new_cache() if cache is None else cache
        x = self.target_embedding(target, cache.length)
        # A single new token may look at everything before it, so there is nothing to hide.
        causal = causal_mask(target.size(1), cache.length, target.device) if target.size(1) > 1 else None
        for layer, layer_cache in zip(self.decoder, cache.layers, strict=True):
            x = layer(x, memory, causal, layer_cache)
        cache.length += target.size(1)
        return self.output(self.decoder_norm(x))  # type: ignore[no-any-return]

    def new_cache(self) -> DecoderCache:
        """An empty memory for writing new sentences."""
        return DecoderCache([LayerCache() for _ in self.decoder])


def _initialize(module: nn.Module) -> None:
    """Embeddings so that, scaled by √D, they have unit variance; linear layers after Glorot & Bengio (2010)."""
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
        with torch.no_grad():
            module.weight[PAD].zero_()
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def translation_loss(logits: Tensor, target: Tensor, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy (nats a token) of (B, T, V) scores against (B, T) ids, padding left out."""
    return F.cross_entropy(
        logits.flatten(0, 1).float(), target.flatten(), ignore_index=PAD, label_smoothing=smoothing
    )


class Dropout(nn.Module):
    """Zero a random share of the elements while training and scale up the rest (Srivastava et al. 2014).

    On CPUs `nn.Dropout` draws one random number an element, on one thread: half of a training step at this
    project's size. Here each 64-bit draw serves eight elements, a byte each, so the share is rounded to 1/256
    (a million elements: 1.3 ms instead of 5.4 on two AVX-512 cores).
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        zeroed = min(round(self.share * 256), 255)  # of 256 bytes
        if not self.training or zeroed == 0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.share)
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.uint8)[: x.numel()].view(x.shape) >= zeroed
        return x * kept.to(x.dtype).mul_(256 / (256 - zeroed))

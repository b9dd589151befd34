"""The encoder-decoder Transformer of "Attention Is All You Need" (Vaswani et al. 2017).

The encoder reads the English sentence; the decoder writes the Korean one, a piece at a time, looking back at
its own pieces (masked self-attention) and across at the encoder's output (cross-attention).

Shapes: `B` batch, `S` source length, `T` target length, `D` model width, `H` heads, `V` Korean vocabulary, `N`
new tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from translator.attention import MultiHeadAttention, causal_mask
from translator.config import ModelConfig
from translator.dropout import Dropout
from translator.loss import translation_loss
from translator.tokenizer import PAD


class Embedding(nn.Module):
    """Ids to vectors, scaled by √D, plus where they stand in the sentence (sections 3.4 and 3.5)."""

    positions: Tensor  # length D

    def __init__(self, vocabulary: int, config: ModelConfig) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, config.width, padding_idx=PAD)
        self.dropout = Dropout(config.dropout)
        self.position_scale = config.position_scale
        self.register_buffer("positions", self.position_table(256), persistent=False)

    def forward(self, ids: Tensor, start: int = 0) -> Tensor:
        """(B, T) ids, the first at position `start` → (B, T, D)."""
        end = start + ids.size(1)
        if end > len(self.positions):  # longer than any sentence before: double the table
            self.positions = self.position_table(2 * end).to(self.positions)
        x = self.tokens(ids) * math.sqrt(self.tokens.embedding_dim) + self.positions[start:end]
        return self.dropout(x)  # type: ignore[no-any-return]

    def position_table(self, length: int) -> Tensor:
        """What is added at each position, (length, D)."""
        return self.position_scale * sinusoids(length, self.tokens.embedding_dim)


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
            return x + self.dropout(sublayer(for_products(self.norm(x))))  # type: ignore[no-any-return]
        return self.norm(x + self.dropout(sublayer(for_products(x))))  # type: ignore[no-any-return]


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
    padding: Tensor | None  # B 1 1 S, the mask: False at padding; None where there is none

    def keep(self, sentences: Tensor) -> Memory:
        """Only these sentences."""
        return Memory(self.states[sentences], None if self.padding is None else self.padding[sentences])


class LayerCache:
    """Keys and values one decoder layer need not compute again: of the Korean so far, and of the English."""

    def __init__(self) -> None:
        self.korean: tuple[Tensor, Tensor] | None = None  # B H room d each, `length` of the room in use
        self.english: tuple[Tensor, Tensor] | None = None  # B H S d each
        self.length = 0

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append the newest N Korean keys and values, (B, H, N, d) each; returns all so far, (B, H, length, d)."""
        start, self.length = self.length, self.length + keys.size(2)
        if self.korean is None:  # a whole sentence at once, as in training, is not copied
            self.korean = keys, values
            return self.korean
        if self.length > self.korean[0].size(2):  # full: move to twice the room, so that a step rarely copies
            room = max(32, 2 * self.length)
            grown = [x.new_empty(*x.shape[:2], room, x.size(3)) for x in self.korean]
            for old, new in zip(self.korean, grown, strict=True):
                new[:, :, :start] = old[:, :, :start]
            self.korean = grown[0], grown[1]
        for new, kept in zip((keys, values), self.korean, strict=True):
            kept.narrow(2, start, keys.size(2)).copy_(new)
        return self.korean[0].narrow(2, 0, self.length), self.korean[1].narrow(2, 0, self.length)

    def keep(self, sentences: Tensor) -> None:
        """Drop all sentences but these."""
        assert self.korean is not None and self.english is not None
        self.korean = self.korean[0][sentences], self.korean[1][sentences]
        self.english = self.english[0][sentences], self.english[1][sentences]


class DecoderLayer(nn.Module):
    """Masked self-attention over the Korean so far, cross-attention to the English, the feed-forward network."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.self_attention = MultiHeadAttention(config.width, config.heads, config.attention_dropout)
        self.cross_attention = MultiHeadAttention(
            config.width, config.heads, config.attention_dropout, config.head_dropout
        )
        self.feed_forward = FeedForward(config)
        self.residuals = nn.ModuleList(Residual(config) for _ in range(3))

    def forward(self, x: Tensor, memory: Memory, mask: Tensor | None, cache: LayerCache) -> Tensor:
        """(B, N, D), the Korean that `cache` does not hold yet → (B, N, D)."""
        looking_back, looking_across, thinking = self.residuals
        x = looking_back(x, lambda y: self._look_back(y, mask, cache))
        x = looking_across(x, lambda y: self._look_across(y, memory, cache))
        return thinking(x, self.feed_forward)  # type: ignore[no-any-return]

    def _look_back(self, x: Tensor, mask: Tensor | None, cache: LayerCache) -> Tensor:
        queries, keys, values = self.self_attention.queries_keys_values(x)
        return self.self_attention.look(x, queries, *cache.extend(keys, values), mask)

    def _look_across(self, x: Tensor, memory: Memory, cache: LayerCache) -> Tensor:
        if cache.english is None:
            cache.english = self.cross_attention.keys_values(memory.states)
        return self.cross_attention.look(x, self.cross_attention.queries(x), *cache.english, memory.padding)


@dataclass
class DecoderCache:
    """What the decoder remembers between steps of writing a sentence.

    The hypotheses of a beam are branches of one tree: they share its keys and values, and a mask tells each
    branch which of them are its own past. So nothing is copied when a hypothesis is dropped or taken twice.
    """

    layers: list[LayerCache]
    depth: int = 0
    """Target positions read so far."""

    def keep(self, sentences: Tensor) -> None:
        """Drop all sentences but these."""
        for layer in self.layers:
            layer.keep(sentences)


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
        self.apply(lambda module: _initialize(module, small=config.norm == "post"))
        if config.tie_embeddings:
            self.output.weight = self.target_embedding.tokens.weight

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.output.weight.device

    def forward(
        self, source: Tensor, target: Tensor, answers: Tensor | None = None, smoothing: float = 0.0
    ) -> Tensor:
        """(B, S) English ids and (B, T) Korean ids → (B, T, V): at each position, scores of the piece after it.

        With `answers`, (B, T) ids of those pieces, → the mean loss instead: see `translation_loss`.
        """
        if answers is None:
            return self.decode(target, self.encode(source))
        states = self.decoder_states(target, self.encode(source), self.new_cache())
        return translation_loss(states, self.output.weight, answers, smoothing)

    def encode(self, source: Tensor) -> Memory:
        """Read the English sentences, (B, S) ids."""
        padding = (source != PAD)[:, None, None, :]  # B 1 1 S
        x = self.source_embedding(source)
        for layer in self.encoder:
            x = layer(x, padding)
        return Memory(for_products(self.encoder_norm(x)), padding)

    def decode(
        self, target: Tensor, memory: Memory, cache: DecoderCache | None = None, past: Tensor | None = None
    ) -> Tensor:
        """(B, N) Korean ids → (B, N, V): at each place, scores of the piece after it.

        With a cache, `target` holds only what it has not seen yet. The N tokens follow one another, unless
        `past` is given: then they are the newest tokens of N hypotheses, all at one position, and each looks
        where its row of the mask `past` (B, N, tokens in the cache + N) allows.
        """
        cache = self.new_cache() if cache is None else cache
        return self.output(self.decoder_states(target, memory, cache, past))  # type: ignore[no-any-return]

    def decoder_states(
        self, target: Tensor, memory: Memory, cache: DecoderCache, past: Tensor | None = None
    ) -> Tensor:
        """(B, N) Korean ids → (B, N, D), which the output layer scores; the arguments are those of `decode`."""
        if past is not None:
            x = self.target_embedding(target.reshape(-1, 1), cache.depth).view(*target.shape, -1)
            cache.depth += 1
        else:
            x = self.target_embedding(target, cache.depth)
            if target.size(1) > 1:  # a single new token may look at everything before it
                past = causal_mask(target.size(1), cache.depth, target.device).unsqueeze(0)
            cache.depth += target.size(1)
        mask = None if past is None else past.unsqueeze(1)  # B 1 N M, for all heads
        for layer, layer_cache in zip(self.decoder, cache.layers, strict=True):
            x = layer(x, memory, mask, layer_cache)
        return for_products(self.decoder_norm(x))

    def new_cache(self) -> DecoderCache:
        """An empty memory for writing new sentences."""
        return DecoderCache([LayerCache() for _ in self.decoder])


def for_products(x: Tensor) -> Tensor:
    """Under autocast, `x` as the matrix products want it, so that those of one input share one cast of it.

    Autocast remembers its casts of weights alone: without this, a training step takes 1.1 times as long.
    """
    device = x.device.type
    return x.to(torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else x


def _initialize(module: nn.Module, small: bool) -> None:
    """Embeddings so that, scaled by √D, they have unit variance; linear layers after Glorot & Bengio (2010).

    Or all `small`, where LayerNorm follows the residual sum: else what sublayers add drowns their input at once.
    """
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02 if small else module.embedding_dim**-0.5)
        with torch.no_grad():
            module.weight[PAD].zero_()
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02) if small else nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

"""Every setting of a run: typed, documented, with its default and its range."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal


def _number(
    default: float, *, least: float | None = None, above: float | None = None, below: float | None = None
) -> Any:
    """A numeric field with its range: `least` is allowed, `above` and `below` are not."""
    limits = {"at least": least, "above": above, "below": below}
    return field(default=default, metadata={word: limit for word, limit in limits.items() if limit is not None})


def _path(default: str = "") -> Any:
    """A field that names a file: relative to the YAML it stands in, or to the working directory."""
    return field(default=default, metadata={"path": True})


@dataclass
class SourceConfig:
    """One place where sentence pairs come from: files (`path`) or a data set on the Hugging Face Hub (`hub`)."""

    path: str = _path()
    """A file, a folder of files or a glob. Without an ending, .tsv and .txt: lines of `english<TAB>korean`, no
    header, taken literally. .csv: with a header. .jsonl: an object a line. .parquet. Each but the last also
    compressed: .gz, .xz, .zst."""

    target_path: str = _path()
    """The Korean lines where `path` holds the English ones: two plain files of equal length."""

    hub: str = ""
    """A data set's id on the Hub, such as Helsinki-NLP/opus-100."""

    config: str = ""
    """Which configuration of the Hub data set, such as en-ko."""

    split: str = "train"
    """Which split of the Hub data set."""

    revision: str = ""
    """Which branch, tag or commit of the Hub data set."""

    source_column: str = ""
    """Where the English is: a column's name (dotted where nested: translation.en), or a number, from 0, in a
    file of tabs. Empty: en, english or source, if there is one."""

    target_column: str = ""
    """Where the Korean is, likewise."""

    licence: str = ""
    """What the data may be used for, such as cc-by-sa-3.0; said when loading if it forbids something. Hub data
    sets may tell it themselves."""

    weight: float = _number(1.0, above=0)
    """How often a pair stands in an epoch: 4 is four times, 0.3 draws 30 % of the pairs anew each epoch."""

    cap: int = _number(0, least=0)
    """Use at most so many pairs, always the same ones, chosen by a hash of their text. 0: all."""

    def __post_init__(self) -> None:
        """Check what no single field can."""
        if bool(self.path) == bool(self.hub):
            raise ValueError("a source wants either `path` (files) or `hub` (a data set's id)")
        if bool(self.source_column) != bool(self.target_column):
            raise ValueError("a source wants both `source_column` and `target_column`, or neither")
        if self.target_path and self.hub:
            raise ValueError("`target_path` goes with `path`, not with `hub`")

    @property
    def name(self) -> str:
        """What to call it in a report."""
        if self.hub:
            return " ".join(part for part in (self.hub, self.config, self.split, self.revision) if part)
        return Path(self.path).name


@dataclass
class CleaningConfig:
    """Which pairs are dropped, a rule a field; 0 or false switches a rule off. Pairs with no letters on a side
    and pairs that share a sentence with validation or test are always dropped."""

    min_characters: int = _number(1, least=0)
    """Fewer letters and digits than this on either side."""

    max_characters: int = _number(500, least=0)
    """More characters than this on either side."""

    max_ratio: float = _number(4.0, least=0)
    """One side this many times longer than the other, a Hangul syllable counted as two letters."""

    min_hangul: float = _number(0.3, least=0, below=1.0001)
    """A smaller share of Hangul among the letters of the Korean side, names left out that the English side has."""

    min_latin: float = _number(0.6, least=0, below=1.0001)
    """A smaller share of Latin among the letters of the English side."""

    untranslated: bool = True
    """Both sides the same."""

    broken: bool = True
    """Characters that were decoded wrongly: U+FFFD, ì•ˆ, Ã©, 占쏙옙."""

    markup: bool = True
    """Tags, entities, template braces, web addresses."""

    numbers: bool = True
    """Numbers of two digits or more on both sides, not one in common and no unit that would explain it."""

    duplicates: bool = True
    """The same letters on both sides as in an earlier pair, whatever the case, spaces and punctuation."""

    max_repeats: int = _number(20, least=0)
    """A sentence that has stood in this many pairs already, with other partners."""


@dataclass
class DataConfig:
    """Which sentence pairs the model sees, and which it is kept from."""

    sources: list[SourceConfig] = field(default_factory=list)
    """Training pairs, mixed. `data.sources=my.tsv` on the command line is short for `[{path: my.tsv}]`."""

    validation: list[SourceConfig] = field(default_factory=list)
    """Pairs that choose the best checkpoint. Empty: `validation_share` of the training pairs is held out."""

    validation_share: float = _number(0.02, above=0, below=0.5)
    """Where `validation` is empty: the share of English sentences that is held out. Which ones depends on a hash
    of each sentence alone, so a sentence stays on its side however the corpus grows."""

    validation_size: int = _number(2000, least=1)
    """At most so many pairs are validated on, chosen by hash; others that were held out stay unused."""

    test: list[SourceConfig] = field(default_factory=list)
    """Test pairs. None of their sentences, on either side, is ever trained on."""

    cleaning: CleaningConfig = field(default_factory=CleaningConfig)
    """See CleaningConfig."""

    max_pieces: int = _number(256, least=2)
    """Training pairs of more pieces than this on either side are dropped after they are tokenised."""

    skip_bad_lines: bool = False
    """Go on past lines that cannot be read as a pair, counting them, instead of stopping at the first."""


@dataclass
class TokenizerConfig:
    """SentencePiece, one model a language (a shared one serves English and Korean badly)."""

    type: Literal["unigram", "bpe"] = "unigram"
    """How pieces are chosen."""

    english_size: int = _number(8000, least=300, below=65537)
    """English pieces at most, the 256 byte pieces and 4 specials among them. Small corpora give fewer."""

    korean_size: int = _number(8000, least=300, below=65537)
    """Korean pieces at most, counted alike."""

    max_lines: int = _number(200_000, least=1)
    """Learn from at most so many sentences of each language, chosen by hash."""

    sampling: float = _number(0.0, least=0, below=1)
    """Cut training sentences anew each epoch into other unigram pieces, sampled with this alpha (Kudo 2018); the
    smaller, the wilder, 0.2 is usual. 0: always the best cut."""

    sampling_until: float = _number(1.0, above=0, below=1.0001)
    """Share of the budget after which training goes on with the best cuts. A model that has met a word in many
    cuts alone begins it in one way, goes on in another, and stammers; the best cuts in the last tenth mend it."""

    character_coverage: float = _number(0.9998, above=0, below=1.0001)
    """Share of the characters that get a piece of their own; the rest are spelled in bytes, so none is lost."""

    def __post_init__(self) -> None:
        """Check what no single field can."""
        if self.sampling and self.type == "bpe":
            raise ValueError("tokenizer.sampling needs tokenizer.type=unigram; for bpe set it to 0")


@dataclass
class ModelConfig:
    """The Transformer of "Attention Is All You Need" (Vaswani et al. 2017)."""

    width: int = _number(256, least=8)
    """d_model: the size of a token's vector. A multiple of `heads`."""

    heads: int = _number(4, least=1)
    """Attention heads in every layer, each `width / heads` wide."""

    encoder_layers: int = _number(4, least=1)
    """Layers that read English."""

    decoder_layers: int = _number(4, least=1)
    """Layers that write Korean."""

    feed_forward: int = _number(1024, least=1)
    """Hidden width of the two-layer network after attention."""

    norm: Literal["pre", "post"] = "pre"
    """LayerNorm before each sublayer ("pre", trains easily) or after its residual ("post", as in the paper)."""

    activation: Literal["relu", "gelu"] = "relu"
    """Of the feed-forward network."""

    tie_embeddings: bool = True
    """Use the Korean embedding as the output projection too (Press & Wolf 2017)."""

    position_scale: float = _number(1.0, above=0)
    """The vectors that tell where a piece stands are so many times the paper's. Long trainings at a high
    `train.embedding_learning_rate` make those of the pieces long, beside which the paper's hardly count."""

    dropout: float = _number(0.1, least=0, below=1)
    """On embeddings, sublayer outputs and inside the feed-forward network."""

    attention_dropout: float = _number(0.0, least=0, below=1)
    """On attention weights, which then no longer sum to 1 while training."""

    head_dropout: float = _number(0.0, least=0, below=1)
    """Share of the heads of cross-attention that are silent while training, drawn for each sentence anew (Zhou et
    al. 2020). So no head can leave a word to another, and each comes to align by itself."""

    def __post_init__(self) -> None:
        """Check what no single field can."""
        if self.width % self.heads or self.width % 2:
            raise ValueError(f"model.width={self.width} must be even and a multiple of model.heads={self.heads}")


@dataclass
class TrainConfig:
    """How the model learns. The budget is what ends first of epochs, steps and minutes."""

    batch_tokens: int = _number(4096, least=16)
    """Tokens in a batch, padding counted, on the longer side of the two."""

    accumulate: int = _number(1, least=1)
    """Parts that a batch is computed in, one after the other: needs less memory, learns the same."""

    max_epochs: int = _number(100, least=1)
    """Passes over the corpus."""

    max_steps: int = _number(1_000_000, least=1)
    """Updates of the weights."""

    max_minutes: float = _number(1_000_000, above=0)
    """Training time, validation included. See `schedule` for the learning rate."""

    patience: int = _number(0, least=0)
    """Validations in a row without a better `validation.metric` before training stops early; 0: never."""

    init_from: str = _path()
    """A run whose best weights and tokenizers this one starts from, to fine-tune them on other sentences."""

    optimizer: Literal["adamw", "muon"] = "adamw"
    """AdamW for all, or Muon for the layers' matrices (Jordan 2024) and AdamW for the rest."""

    learning_rate: float = _number(1e-3, above=0)
    """Peak rate of AdamW."""

    embedding_learning_rate: float = _number(0.0, least=0)
    """Peak rate of the embeddings, which AdamW moves whatever the optimizer of the rest; 0: `learning_rate`.
    Where the pieces are many and the training short, each is in few batches and wants long steps: 1e-2, say."""

    muon_learning_rate: float = _number(0.02, above=0)
    """Peak rate of Muon."""

    weight_decay: float = _number(0.01, least=0)
    """Decoupled, on matrices only."""

    warmup: float = _number(0.05, least=0, below=1)
    """Share of the budget in which the rate climbs from zero."""

    schedule: Literal["linear", "cosine", "inverse_sqrt"] = "linear"
    """How the rate falls after the warm-up. "linear" and "cosine" reach zero when the budget ends."""

    label_smoothing: float = _number(0.1, least=0, below=1)
    """Share of the probability spread over all pieces (Szegedy et al. 2016)."""

    r_drop: float = _number(0.0, least=0)
    """Weight alpha of R-Drop (Liang et al. 2021), for small corpora: each batch passes the model twice, and both
    passes, set apart by dropout, are held to agree. Steps take half as long again. 0: off; 1 to 5 are usual."""

    clip_norm: float = _number(1.0, above=0)
    """Gradients longer than this are scaled down to it."""

    average: float = _number(0.0, least=0, below=1)
    """Decay of a running average of the weights, which is validated and kept in their place; 0: none."""

    max_bad_steps: int = _number(5, least=1)
    """Steps in a row whose loss is no number before the run stops. None of them is applied."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """"auto" computes in bfloat16 where the processor multiplies it fast. Weights are float32 always."""

    compile: Literal["auto", "on", "off"] = "auto"
    """`torch.compile`; "auto" uses it on CUDA alone. Where no compiler is found, one line says so."""

    log_every_steps: int = _number(50, least=1)
    """A line in metrics.jsonl, and on a plain terminal, every so many steps."""


@dataclass
class ValidationConfig:
    """Looking up from training: loss, and real translations scored by chrF++."""

    every_steps: int = _number(500, least=1)
    """Steps between validations; one more always stands at the end."""

    metric: Literal["chrf", "loss"] = "chrf"
    """What chooses the weights in best/, and what `train.patience` looks at."""

    decode_size: int = _number(300, least=1)
    """Validation sentences that are translated greedily and scored each time."""

    samples: list[str] = field(default_factory=list)
    """English sentences whose translation is shown at each validation."""


@dataclass
class CheckpointConfig:
    """What is kept along the way."""

    every_steps: int = _number(500, least=1)
    """Steps between checkpoints that a killed run goes on from."""

    snapshots: int = _number(12, least=0)
    """How many copies of the weights to keep along the way, to watch attention being learnt."""


@dataclass
class Config:
    """A whole run."""

    run_dir: str = _path()
    """Where the run is kept. Default: `runs/` and the name of the YAML file."""

    seed: int = _number(1, least=0)
    """Of the weights, of dropout and of the order of the batches."""

    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to compute; "auto" takes an accelerator if there is one."""

    data: DataConfig = field(default_factory=DataConfig)
    """See DataConfig."""
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    """See TokenizerConfig."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """See ModelConfig."""
    train: TrainConfig = field(default_factory=TrainConfig)
    """See TrainConfig."""
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    """See ValidationConfig."""
    checkpoint: CheckpointConfig = field(default_factory=CheckpointConfig)
    """See CheckpointConfig."""

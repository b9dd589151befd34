"""Every setting of a run: typed, documented and checked. A YAML file first, then `key=value` on top.

>>> load_config("configs/everyday.yaml", ["model.dropout=2.0"])
Traceback (most recent call last):
    ...
translator.errors.UserError: command line: model.dropout must be at least 0 and below 1, not 2.0
"""

from __future__ import annotations

import dataclasses
import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from translator.errors import UserError


def _number(
    default: float, *, least: float | None = None, above: float | None = None, below: float | None = None
) -> Any:
    """A numeric field with its range: `least` is allowed, `above` and `below` are not."""
    return field(default=default, metadata={"range": (least, above, below)})


def _path(default: str = "") -> Any:
    """A field that names a file: relative to the YAML it stands in, or to the working directory."""
    return field(default=default, metadata={"path": True})


@dataclass
class SourceConfig:
    """One place where sentence pairs come from."""

    path: str = _path("???")
    """A file of `english<TAB>korean` lines, UTF-8, no header; compressed (.gz, .xz) will do."""

    weight: float = _number(1.0, above=0)
    """How often a pair stands in an epoch: 4 is four times, 0.3 draws 30 % of the pairs anew each epoch."""


@dataclass
class DataConfig:
    """Which sentence pairs the model sees, and which it is kept from."""

    sources: list[SourceConfig] = field(default_factory=list)
    """Training files, mixed. `data.sources=my.tsv` on the command line is short for `[{path: my.tsv}]`."""

    validation: str = _path()
    """File of pairs that chooses the best checkpoint. Empty: `validation_size` pairs are held out instead."""

    validation_size: int = _number(500, least=1)
    """How many pairs to hold out where `validation` is empty. Which ones depends on their text alone."""

    test: list[str] = field(default_factory=list, metadata={"path": True})
    """Files of test pairs. None of their sentences, on either side, is ever trained on."""

    max_words: int = _number(80, least=1)
    """Pairs with more words than this on either side are dropped."""

    max_ratio: float = _number(5.0, least=1)
    """Pairs whose longer side has more than this many times the words of the shorter (plus 2) are dropped."""

    skip_bad_lines: bool = False
    """Go on past lines that are not two columns, counting them, instead of stopping at the first."""


@dataclass
class TokenizerConfig:
    """SentencePiece, one model a language (a shared one serves English and Korean badly)."""

    type: Literal["unigram", "bpe"] = "unigram"
    """How pieces are chosen."""

    english_size: int = _number(8000, least=300)
    """English pieces at most, the 256 byte pieces and 4 specials among them. Small corpora give fewer."""

    korean_size: int = _number(8000, least=300)
    """Korean pieces at most, counted alike."""

    character_coverage: float = _number(0.9998, above=0, below=1.0001)
    """Share of the characters that get a piece of their own; the rest are spelled in bytes, so none is lost."""


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

    dropout: float = _number(0.1, least=0, below=1)
    """On embeddings, sublayer outputs and inside the feed-forward network."""

    attention_dropout: float = _number(0.0, least=0, below=1)
    """On attention weights. The drawn weights no longer sum to 1 while training; rarely worth it."""

    def __post_init__(self) -> None:
        """Check what no single field can."""
        if self.width % self.heads or self.width % 2:
            raise ValueError(
                f"model.width ({self.width}) must be even and a multiple of model.heads ({self.heads})"
            )


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

    clip_norm: float = _number(1.0, above=0)
    """Gradients longer than this are scaled down to it."""

    average: float = _number(0.0, least=0, below=1)
    """Decay of a running average of the weights, which is validated and kept in their place; 0: none."""

    max_bad_steps: int = _number(5, least=1)
    """Steps in a row whose loss is no number before the run stops. None of them is applied."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """"auto" computes in bfloat16 where the processor multiplies it fast. Weights are float32 always."""

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


def load_config(path: str | Path, overrides: list[str] | None = None) -> Config:
    """Read a YAML file and `key=value` overrides into a checked `Config`; every mistake is a `UserError`.

    Relative paths in the YAML are taken from its own folder, those on the command line from the working
    directory.
    """
    path = Path(path)
    try:
        values = OmegaConf.load(path)
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.yaml")], n=1)
        hint = f" Did you mean '{path.parent / near[0]}'?" if near else ""
        raise UserError(f"{path}: no such configuration file.{hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    except Exception as error:  # PyYAML's errors have no common base that OmegaConf re-exports
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, DictConfig):
        raise UserError(f"{path}: must hold `key: value` lines")

    config = _merge(OmegaConf.structured(Config), values, label=str(path), folder=path.parent)
    for override in overrides or []:
        if not override.partition("=")[1]:
            raise UserError(f"command line: '{override}' is not of the form key=value")
    try:
        values = OmegaConf.from_dotlist(overrides or [])
    except Exception as error:
        raise UserError(f"command line: not a value YAML can read ({' '.join(str(error).split())})") from None
    config = _merge(OmegaConf.structured(config), values, label="command line", folder=Path())
    if not config.run_dir:
        config.run_dir = str((Path("runs") / path.stem).absolute())
    return config


def to_yaml(config: Config) -> str:
    """The merged configuration as a YAML file's text; `load_config` reads it back equal."""
    return OmegaConf.to_yaml(OmegaConf.structured(config))


def _merge(tree: DictConfig, values: DictConfig, label: str, folder: Path) -> Config:
    """Lay `values` over `tree`, check the result, and make the paths it brought absolute."""
    try:
        config = OmegaConf.to_object(OmegaConf.merge(tree, _expand(values)))
    except OmegaConfBaseException as error:
        raise UserError(f"{label}: {_explain(error, values)}") from None
    except (ValueError, TypeError) as error:  # from a __post_init__, or a group given for a list
        raise UserError(f"{label}: {error}") from None
    assert isinstance(config, Config)
    _check_ranges(config, label)
    _resolve_paths(config, folder)
    return config


def _expand(values: DictConfig) -> DictConfig:
    """Write out the short forms: a lone file for a list of files, a name for `{path: name}`."""
    raw = OmegaConf.to_container(values)
    assert isinstance(raw, dict)
    data = raw.get("data")
    if isinstance(data, dict):
        for key in ("sources", "test"):
            if isinstance(data.get(key), (str, dict)):
                data[key] = [data[key]]
        if isinstance(data.get("sources"), list):
            data["sources"] = [{"path": s} if isinstance(s, str) else s for s in data["sources"]]
    created = OmegaConf.create(raw)
    assert isinstance(created, DictConfig)
    return created


def _explain(error: OmegaConfBaseException, values: DictConfig) -> str:
    """OmegaConf's message as one line with the full key and, for a wrong choice, the near miss."""
    message = str(error).split("\n")[0].rstrip(".")
    key = getattr(error, "full_key", None)
    if key is None:  # a group given as a plain value; OmegaConf does not say which
        groups = {f.name for f in dataclasses.fields(Config) if dataclasses.is_dataclass(f.default_factory)}
        key = next((k for k in values if k in groups and not OmegaConf.is_dict(values[k])), None)
        message = f"'{key}' is a group of settings, not a value"
    choices = message.partition("expected one of ")[2]
    if choices:
        wrong = message.partition("'")[2].partition("'")[0]
        near = difflib.get_close_matches(wrong, choices.strip("[]").replace("'", "").split(", "), n=1, cutoff=0.4)
        message += f". Did you mean: '{near[0]}'?" if near else ""
    return f"{message} (at {key})" if key else message


def _check_ranges(node: Any, label: str, prefix: str = "") -> None:
    """Check every number against the range its field declares."""
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        if dataclasses.is_dataclass(value):
            _check_ranges(value, label, f"{prefix}{f.name}.")
        for i, item in enumerate(value if isinstance(value, list) else []):
            if dataclasses.is_dataclass(item):
                _check_ranges(item, label, f"{prefix}{f.name}[{i}].")
        least, above, below = f.metadata.get("range", (None, None, None))
        wanted = [
            f"at least {least}" if least is not None else "",
            f"above {above}" if above is not None else "",
            f"below {below}" if below is not None else "",
        ]
        inside = (
            (least is None or value >= least)
            and (above is None or value > above)
            and (below is None or value < below)
        )
        if not inside:
            raise UserError(f"{label}: {prefix}{f.name} must be {' and '.join(filter(None, wanted))}, not {value}")


def _resolve_paths(node: Any, folder: Path) -> None:
    """Make relative paths absolute, in place; absolute ones came from an earlier layer and stay."""
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        if dataclasses.is_dataclass(value):
            _resolve_paths(value, folder)
        elif isinstance(value, list):
            for i, item in enumerate(value):
                if dataclasses.is_dataclass(item):
                    _resolve_paths(item, folder)
                elif f.metadata.get("path"):
                    value[i] = str((folder / item).absolute())
        elif f.metadata.get("path") and value:
            setattr(node, f.name, str((folder / value).absolute()))

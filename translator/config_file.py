"""Settings from a YAML file first, then `key=value` on top; checked, and every mistake named.

>>> load_config("configs/everyday.yaml", ["model.dropout=2.0"])
Traceback (most recent call last):
    ...
translator.errors.UserError: command line: model.dropout must be at least 0 and below 1, not 2.0
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import operator
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from translator.config import Config
from translator.errors import UserError

_WITHIN = {"at least": operator.ge, "above": operator.gt, "below": operator.lt}
"""What the limits in a field's metadata mean."""


def load_config(path: str | Path, overrides: list[str] | None = None) -> Config:
    """Read a YAML file and `key=value` overrides into a checked `Config`; every mistake is a `UserError`.

    Relative paths in the YAML are taken from its own folder, those on the command line from the working
    directory.
    """
    path = Path(path)
    if path.is_file() and path.suffix not in (".yaml", ".yml"):
        raise UserError(f"{path}: not a YAML file; to train on it: configs/tatoeba.yaml data.sources={path}")
    try:
        values = OmegaConf.load(path)
    except FileNotFoundError:
        near = difflib.get_close_matches(path.name, [p.name for p in path.parent.glob("*.yaml")], n=1)
        hint = f" Did you mean '{path.parent / near[0]}'?" if near else ""
        raise UserError(f"{path}: no such configuration file.{hint}") from None
    except Exception as error:  # the disk's, or PyYAML's, which have no common base that OmegaConf re-exports
        raise UserError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from None
    if not isinstance(values, DictConfig):
        raise UserError(f"{path}: must hold `key: value` lines")

    config = _merge(OmegaConf.structured(Config), values, label=str(path), folder=path.parent)
    settings = []
    for override in overrides or []:
        key, equals, value = override.partition("=")
        if not equals:
            raise UserError(f"command line: '{override}' is not of the form key=value")
        # The name of a file that is there is that name, whatever YAML would make of its brackets, # and colons.
        settings.append(f"{key}={json.dumps(value, ensure_ascii=False)}" if os.path.exists(value) else override)
    try:
        values = OmegaConf.from_dotlist(settings)
    except Exception as error:
        raise UserError(f"command line: not YAML in UTF-8 ({' '.join(str(error).split())})") from None
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
    for group, f, name in _settings(config):
        value = getattr(group, f.name)
        limits = {word: f.metadata[word] for word in _WITHIN if word in f.metadata}
        if not all(_WITHIN[word](value, limit) for word, limit in limits.items()):
            wanted = " and ".join(f"{word} {limit}" for word, limit in limits.items())
            raise UserError(f"{label}: {name} must be {wanted}, not {value}")
        if "path" in f.metadata and value:  # shells leave the ~ of key=~/pairs.tsv as it is
            setattr(group, f.name, str((folder / os.path.expanduser(value)).absolute()))
    return config


def _expand(values: DictConfig) -> DictConfig:
    """Write out the short forms: a lone file for a list of files, a name for `{path: name}`."""
    raw = OmegaConf.to_container(values)
    assert isinstance(raw, dict)
    data = raw.get("data")
    if isinstance(data, dict):
        for key in ("sources", "validation", "test"):
            value = [data[key]] if isinstance(data.get(key), (str, dict)) else data.get(key)
            if isinstance(value, list):
                data[key] = [{"path": item} if isinstance(item, str) else item for item in value]
    created = OmegaConf.create(raw)
    assert isinstance(created, DictConfig)
    return created


def _explain(error: OmegaConfBaseException, values: DictConfig) -> str:
    """OmegaConf's message as one line with the full key and, for a wrong choice, the near miss."""
    message = str(error).split("\n")[0].rstrip(".").replace("is not Optional", "needs a value")
    key = getattr(error, "full_key", None)
    groups = {name: group for name, group in vars(Config()).items() if dataclasses.is_dataclass(group)}
    if key is None:  # a group given as a plain value; OmegaConf does not say which
        key = next((k for k in values if k in groups and not OmegaConf.is_dict(values[k])), None)
        message = f"'{key}' is a group of settings, not a value"
    choices = message.partition("expected one of ")[2]
    if choices:
        wrong = message.partition("'")[2].partition("'")[0]
        near = difflib.get_close_matches(wrong, choices.strip("[]").replace("'", "").split(", "), n=1, cutoff=0.4)
        message += f". Did you mean: '{near[0]}'?" if near else ""
    if homes := [f"{name}.{key}" for name, group in groups.items() if key in vars(group)]:
        message += f". Did you mean: '{homes[0]}'?"
    return f"{message} (at {key})" if key else message


def _settings(node: Any, prefix: str = "") -> Iterator[tuple[Any, dataclasses.Field[Any], str]]:
    """Every setting under `node`: the group that holds it, its field, its full name."""
    for f in dataclasses.fields(node):
        value, name = getattr(node, f.name), f"{prefix}{f.name}"
        yield node, f, name
        if dataclasses.is_dataclass(value):
            yield from _settings(value, f"{name}.")
        for i, item in enumerate(value if isinstance(value, list) else []):
            if dataclasses.is_dataclass(item):
                yield from _settings(item, f"{name}[{i}].")

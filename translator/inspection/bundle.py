"""Attention maps on disk: `NAME.attn.json` says what everything is, `NAME.attn.npz` holds the numbers.

The layout is `bundle.schema.json` (JSON Schema) beside this file; its descriptions document every field. Arrays
are float32, since float16 no longer sums to 1, and load with `allow_pickle=False`.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from translator.errors import UserError
from translator.inspection.words import Array

SCHEMA = Path(__file__).parent / "bundle.schema.json"
VERSION = 2
"""Of the layout: the number that `schema` has in every manifest."""


def write(manifest: dict[str, Any], arrays: dict[str, Array], directory: str | Path, name: str) -> list[Path]:
    """Write `name`.attn.json and `name`.attn.npz into `directory`; the manifest gets its version and file name."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    labels, numbers = directory / f"{name}.attn.json", directory / f"{name}.attn.npz"
    np.savez_compressed(numbers, **arrays)  # type: ignore[arg-type]
    whole = {"schema": VERSION, "file": numbers.name} | manifest
    labels.write_text(json.dumps(whole, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return [labels, numbers]


def read(path: str | Path) -> tuple[dict[str, Any], dict[str, Array]]:
    """The manifest and the arrays that `write` wrote; `path` is the manifest's."""
    path = Path(path)
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = manifest["schema"]
    except FileNotFoundError:
        raise UserError(f"{path}: no such file of attention maps") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not a file of attention maps") from None
    if version != VERSION:
        raise UserError(f"{path}: written by another version; export the maps again")
    numbers = path.parent / manifest["file"]
    try:
        with np.load(numbers, allow_pickle=False) as arrays:
            return manifest, {name: arrays[name] for name in arrays}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{numbers}: cannot be read: {error}") from None

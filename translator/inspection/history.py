"""One sentence pair through the snapshots of a training run: how attention came to look where it looks."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from translator.checkpoint import RunDirectory
from translator.errors import UserError
from translator.inspection import measures
from translator.inspection.maps import KINDS, AttentionMaps, look


def add_history(maps: AttentionMaps, directory: RunDirectory) -> None:
    """Look at the maps' own pieces again with every snapshot of the run, and add what was seen to `maps`.

    The Korean is the same at every snapshot, though early ones would have written something else.
    """
    for _ in looks_back(maps, directory):
        pass


def looks_back(maps: AttentionMaps, directory: RunDirectory) -> Iterator[int]:
    """What `add_history` does, a snapshot at a time: yields the training step of the one looked with."""
    snapshots = directory.snapshots()
    if not snapshots:
        raise UserError(f"{directory.path}: no snapshots here; train with checkpoint.snapshots=12")
    found = []
    for step, name in snapshots:
        found.append(look(directory.load_model(name), maps.source.ids, maps.target.ids, False))
        yield step
    for name in ("logprobs", *(f"{kind}.weights" for kind in KINDS)):
        maps.arrays[f"history.{name}"] = np.stack([arrays[name] for arrays in found])
    steps = [step for step, _ in snapshots]
    curves = {"logprob": maps.arrays["history.logprobs"].sum(1).tolist()}
    if maps.best is not None:
        cross = maps.arrays["history.cross.weights"][:, maps.best.layer, maps.best.head]  # snapshots T S
        curves["entropy"] = measures.entropy(cross).tolist()
        curves["mark_share"] = cross[..., -1].mean(-1).tolist()
    evaluated = (directory.alignment() or {}).get("curves")
    if evaluated and evaluated["step"] == steps:
        curves["error_rate"] = evaluated["error_rate"]
    maps.history = {"steps": steps, "curves": curves}

"""Optimisers, and how the learning rate rises and falls."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from translator.config import TrainConfig


def build_optimizers(model: nn.Module, config: TrainConfig) -> list[torch.optim.Optimizer]:
    """AdamW for all parameters, or Muon for the matrices of the layers and AdamW for the rest.

    Muon orthogonalises each update, so that every direction of a matrix learns equally fast; it is made for
    matrices that map vectors to vectors, not for tables of embeddings (Jordan 2024).
    """
    vectors = [p for p in model.parameters() if p.ndim < 2]
    layers = [p for part in ("encoder", "decoder") for p in model.get_submodule(part).parameters()]
    matrices = [p for p in layers if p.ndim == 2]
    placed = {id(p) for p in (*vectors, *matrices)}
    tables = [p for p in model.parameters() if id(p) not in placed]  # a row a piece
    tables_rate = config.embedding_learning_rate or config.learning_rate
    with_muon = config.optimizer == "muon"
    adamw = torch.optim.AdamW(
        [
            {"params": [] if with_muon else matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
            {"params": tables, "weight_decay": config.weight_decay, "lr": tables_rate},
        ],
        lr=config.learning_rate, betas=(0.9, 0.98), eps=1e-9, fused=True,
    )  # fmt: skip
    optimizers: list[torch.optim.Optimizer] = [adamw]
    if with_muon:
        muon = torch.optim.Muon(matrices, lr=config.muon_learning_rate, weight_decay=config.weight_decay)
        optimizers.append(muon)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak"] = group["lr"]
    return optimizers


def apply_gradients(optimizers: list[torch.optim.Optimizer], finite: Tensor) -> None:
    """One update of the weights, or none at all where `finite` (a truth value on the device) is False.

    Fused AdamW reads that itself, through the door that torch's GradScaler uses, so that the host need not wait
    for a GPU; Muon has no such door.
    """
    for optimizer in optimizers:
        if isinstance(optimizer, torch.optim.AdamW):
            optimizer.grad_scale, optimizer.found_inf = None, (~finite).float()  # type: ignore[attr-defined]
            optimizer.step()
        elif finite:
            optimizer.step()
        optimizer.zero_grad()


@torch.no_grad()
def move_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move the exponential moving average of the weights towards the model's; it is quicker to move at first."""
    decay = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - decay)


def set_rate(optimizers: list[torch.optim.Optimizer], factor: float) -> None:
    """Set every learning rate to `factor` times its peak."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * factor


def rate_factor(progress: float, config: TrainConfig) -> float:
    """The share of the peak rate after `progress` (0 to 1) of the budget: up in a line, then down.

    >>> config = TrainConfig(warmup=0.1, schedule="linear")
    >>> [round(rate_factor(p, config), 2) for p in (0.0, 0.05, 0.1, 0.55, 1.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    warmup = config.warmup
    if progress < warmup:
        return progress / warmup
    if config.schedule == "inverse_sqrt":
        return math.sqrt(max(warmup, 1e-3) / max(progress, 1e-3))
    left = max(0.0, 1.0 - progress) / (1.0 - warmup)
    return left if config.schedule == "linear" else 0.5 - 0.5 * math.cos(math.pi * left)

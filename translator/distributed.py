"""Several processes as one: torchrun starts them and this file holds what they tell each other. Alone: nothing.

Every process (a *rank*) holds the whole model and computes its own rows of each batch. DDP averages the gradients,
so after each step all have the same weights, and what one decides by numbers the others decide alike.
"""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from translator.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    size: int = 1
    local: int = 0
    """Rank among the processes of this machine: the number of its GPU."""

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model, its gradients averaged over all ranks during `backward`."""
        if self.size == 1:
            return model
        with warnings.catch_warnings(action="ignore", category=FutureWarning):  # a name that torch 2.9 lacks
            # The position tables are the same everywhere and grow with the sentences seen: nothing to broadcast.
            return DistributedDataParallel(model, broadcast_buffers=False, gradient_as_bucket_view=True)

    def accumulating(self, model: nn.Module) -> AbstractContextManager[None]:
        """Inside, gradients of a wrapped model add up on this rank alone, to be averaged by a later `backward`."""
        return model.no_sync() if isinstance(model, DistributedDataParallel) else nullcontext()

    def sum(self, values: Tensor) -> Tensor:
        """Their sums over all ranks, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def agree(self, *values: float) -> list[float]:
        """The largest of each value over all ranks: for what each finds for itself, clocks and signals."""
        if self.size == 1:
            return list(values)
        numbers = torch.tensor(values, dtype=torch.float64)  # on the CPU: nobody waits for a GPU
        dist.all_reduce(numbers, dist.ReduceOp.MAX)
        return numbers.tolist()

    def gather(self, value: T) -> list[T]:
        """The values of all ranks, on each of them."""
        values = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """Rank 0 runs the block, then the others do."""
        if not self.main:
            self.agree(0)
        yield
        if self.main:
            self.agree(0)


ALONE = Ranks()


@contextmanager
def join_ranks() -> Iterator[Ranks]:
    """Meet the other processes that torchrun has started, if it has."""
    size = int(os.environ["WORLD_SIZE"]) if dist.is_torchelastic_launched() else 1
    if size == 1:
        yield ALONE
        return
    ranks = Ranks(int(os.environ["RANK"]), size, int(os.environ["LOCAL_RANK"]))
    backend = "gloo"
    if torch.cuda.is_available():
        backend = "cpu:gloo,cuda:nccl"
    # Long, for the others wait while rank 0 prepares the corpus. A rank that dies is not noticed by this: torchrun
    # ends the rest of its machine, and connections that break end the other machines.
    dist.init_process_group(backend, timeout=timedelta(hours=3))
    yield ranks
    # A wrapped model must go before its group: dropped after it, it was seen to hang the end of the process.
    gc.collect()
    dist.destroy_process_group()


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """The device that `device` in the configuration stands for; each process of a machine has its own GPU."""
    found = {"cpu": True, "cuda": torch.cuda.device_count() > local_rank, "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = next(device for device in ("cuda", "mps", "cpu") if found[device])
    if not found[name]:
        raise UserError(f"device={name}: torch finds no such device here; use device=auto or device=cpu")
    if name != "cuda":
        return torch.device(name)
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16; "auto" does where the hardware multiplies it faster than float32."""
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    supported = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return device.type == "cpu" and bool(supported)

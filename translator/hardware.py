"""What the machine can do, and how to make the most of it."""

from __future__ import annotations

import ctypes
import sys
from typing import cast

import torch
from torch import nn


def keep_freed_memory() -> None:
    """Let the C library keep large blocks of memory for the next step instead of giving them back.

    By default glibc returns every large tensor to the system when it is freed, and the system clears each page
    anew when the next one is made: on two AVX-512 cores a training step of 4,096 tokens takes 1.6 times as long.
    Other C libraries have no such setting and are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names and numbers of malloc.h
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def compiled(model: nn.Module, choice: str, device: torch.device) -> nn.Module:
    """`model` by way of `torch.compile`, sharing its parameters; "auto" does so on CUDA alone.

    Where that does not work, as a rule for want of a compiler, one line says so, and `model` itself is returned.
    """
    if choice == "off" or (choice == "auto" and device.type != "cuda"):
        return model
    try:
        torch.compile(lambda x: x + x)(torch.ones(2, device=device))
    except Exception as error:  # each compiler behind it has its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        print(
            f"train.compile: training goes on without, since compiling does not work here: {reason}",
            file=sys.stderr,
        )
        return model
    return cast(nn.Module, torch.compile(model, dynamic=True))

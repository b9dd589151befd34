"""What the machine can do, and how to make the most of it."""

from __future__ import annotations

import ctypes
import os
import sys
from contextlib import AbstractContextManager

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


def compile_layers(model: nn.Module, choice: str, device: torch.device) -> None:
    """Have `torch.compile` make kernels for training a Transformer's layers; "auto" does so on CUDA alone.

    Layer by layer, since all encoder layers share what is compiled for one, and so do all decoder layers: the
    model as a whole took over two minutes to compile on an H100, this takes seconds. Where it does not work, as a
    rule for want of a compiler, one line says so and the model stays as it is.
    """
    if choice == "off" or (choice == "auto" and device.type != "cuda"):
        return
    try:
        torch.compile(lambda x: x + x)(torch.ones(2, device=device))
    except Exception as error:  # each compiler behind it has its own
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        print(f"train.compile: compiling does not work here, training goes on without: {reason}", file=sys.stderr)
        return
    for part in ("encoder", "decoder"):
        for layer in model.get_submodule(part).children():
            layer.compile(dynamic=True)  # sentences come in many lengths


def uncompiled() -> AbstractContextManager[None]:
    """Inside, compiled layers run as they are written: validation sees too many shapes to compile for."""
    return torch.compiler.set_stance("force_eager")  # type: ignore[no-any-return]


def expect_many_shapes(batch_tokens: int) -> None:
    """Keep torch's libraries from making, or keeping, too much for each shape: batches of text have hundreds.

    cuDNN's fused attention makes a plan for each: on an H100 a step took 413 ms with it, 82 ms without. oneDNN
    keeps the last 1,024 kernels of matrix products, which pays where small products recur; those of batches beyond
    1,024 tokens hold gigabytes (docs/results.md), and 64 are as fast. oneDNN asks before its first product;
    a number that the user has set stays.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)
    if batch_tokens > 1024:
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")

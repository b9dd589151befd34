"""Linear layers laid out for translating on a CPU.

torch multiplies float32 matrices by MKL, which uses half of what a processor not made by Intel can do, and lays
bfloat16 weights out anew at every product. Here oneDNN, which comes with torch, gets weights that were laid out
once: 160 rows times a 256 × 8,000 matrix take 3.9 ms by MKL, 1.6 by oneDNN, 0.75 in bfloat16 (two cores of an AMD
EPYC, torch 2.13).
"""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from translator.attention import MultiHeadAttention
from translator.model import Transformer

SMALL = 190_000
"""Multiplications and additions that MKL has done by the time oneDNN has started, which takes it 15 to 30 µs."""


def product(weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> Callable[[Tensor], Tensor]:
    """The function x ↦ x Wᵀ + b, computed in `dtype`; x and what comes out are float32. It has no gradient.

    What is `SMALL` is multiplied as it is, in float32.
    """
    weight, bias = weight.detach(), None if bias is None else bias.detach()
    # What TorchInductor's frozen models call. 32 rows are a hint; any number may come.
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype), 32)
    packed_bias = None if bias is None else bias.to(dtype)
    multiplication = torch.ops.mkldnn._linear_pointwise.default

    def multiply(x: Tensor) -> Tensor:
        if x.numel() * weight.size(0) <= SMALL:
            return F.linear(x, weight, bias)
        y: Tensor = multiplication(x.to(dtype), packed, packed_bias, "none", [], "")
        return y.to(x.dtype)

    return multiply


class PackedLinear(nn.Module):
    """`linear`, packed; the plain one where gradients are wanted."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight, self.bias = linear.weight, linear.bias
        self._product = product(self.weight, self.bias, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """(…, in) → (…, out)."""
        return F.linear(x, self.weight, self.bias) if torch.is_grad_enabled() else self._product(x)


def packed(model: Transformer, dtype: torch.dtype = torch.float32) -> Transformer:
    """A copy of the model, for translating alone, that shares its parameters: every linear layer is packed, and
    the projections to queries, keys and values, which have one input in self-attention, are one."""
    model = copy.deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})
    for parent in list(model.modules()):
        if isinstance(parent, MultiHeadAttention):
            inputs = (parent.query, parent.key, parent.value)
            weight, bias = (torch.cat([getattr(part, name) for part in inputs]) for name in ("weight", "bias"))
            parent.joined = product(weight, bias, dtype)
        for name, child in parent.named_children():
            if isinstance(child, nn.Linear):
                setattr(parent, name, PackedLinear(child, dtype))
    return model

"""Greedy decoding of a frozen Llama on a CPU, its weights in four and eight bits.

A step with one token waits for memory: every weight is read once per token. So a step reads small
copies of them; prompts, batches and scores run through the network itself, at its own precision.
Weights that come from a 4 bit file go back into their 4 bits, all others into 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel

from assistant.errors import ModelError

__all__ = ["CompactDecoder", "EightBitLinear", "FourBitLinear", "compact_linear", "fits"]

GROUP = 32  # columns that share a scale, as in GGUF's Q4_1
LEVELS = 15  # steps between the least and the greatest 4 bit code
MIDDLE = 8  # code that the 4 bit kernel takes as zero
EXACT = 0.25  # of a step: codes read back nearer than this were codes before (chance gives 0.5)
ROWS = 16  # the 4 bit kernel wants a multiple of this many outputs
SHORTLIST = 16  # tokens that the 8 bit head proposes and the exact head decides between
KERNELS = ("AVX2", "AVX512")  # instruction sets that PyTorch's small-weight kernels are written for


class FourBitLinear(nn.Module):
    """``x W^T`` with W as 4 bit codes, a scale and a zero for every 32 columns of a row."""

    def __init__(self, codes: Tensor, scale: Tensor, low: Tensor) -> None:
        """``W = scale * codes + low``: codes ``(O, I)``, scale and low ``(O, I / 32)``."""
        super().__init__()
        packed = torch.ops.aten._convert_weight_to_int4pack_for_cpu(codes.int().contiguous(), 1)
        zero = low + MIDDLE * scale
        pairs = torch.stack([scale, zero], dim=-1).transpose(0, 1)  # (I / 32, O, 2)
        self.register_buffer("packed", packed)
        self.register_buffer("pairs", pairs.bfloat16().contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """``(N, I)`` bf16 -> ``(N, O)`` bf16."""
        return torch.ops.aten._weight_int4pack_mm_for_cpu(x, self.packed, GROUP, self.pairs)


class EightBitLinear(nn.Module):
    """``x W^T`` with W as 8 bit codes and a scale for every row."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        weight = weight.float()  # (O, I)
        scale = weight.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny) / 127
        self.register_buffer("codes", (weight / scale[:, None]).round().to(torch.int8))
        self.register_buffer("scale", scale.bfloat16())

    def forward(self, x: Tensor) -> Tensor:
        """``(N, I)`` bf16 -> ``(N, O)`` bf16."""
        return torch.ops.aten._weight_int8pack_mm(x, self.codes, self.scale)


def compact_linear(weight: Tensor) -> FourBitLinear | EightBitLinear:
    """The smallest copy of ``weight`` ``(O, I)`` that keeps its accuracy."""
    rows, columns = weight.shape
    if rows % ROWS == 0 and columns % GROUP == 0:
        codes, scale, low = four_bit_codes(weight.float())
        if codes is not None:
            return FourBitLinear(codes, scale, low)
    return EightBitLinear(weight)


def four_bit_codes(weight: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
    """Codes ``(O, I)``, scale and low ``(O, I / 32)``; no codes where 4 bits would lose something.

    In a group that was stored in 4 bits the least and the greatest value have the codes 0 and 15.
    """
    groups = weight.unflatten(1, (-1, GROUP))  # (O, I / 32, 32)
    low = groups.amin(-1, keepdim=True)
    scale = (groups.amax(-1, keepdim=True) - low) / LEVELS
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    steps = (groups - low) / scale
    codes = steps.round()
    exact = bool((steps - codes).abs().amax() < EXACT)
    return codes.flatten(1) if exact else None, scale.squeeze(-1), low.squeeze(-1)

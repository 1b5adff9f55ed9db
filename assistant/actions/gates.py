"""Which of the teacher's spatial knowledge is passed on (the same paper as the losses, 3.2)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

GATES = ("identity", "self", "cross")


class SelfGate(nn.Module):
    """Self-attention over the teacher's patches, Eq. 5. It begins as that attention alone: V is
    the patches themselves and the MLP adds nothing."""

    def __init__(self, width: int, inner: int) -> None:
        """``inner``: of queries, keys and the MLP."""
        super().__init__()
        self.query, self.key = nn.Linear(width, inner), nn.Linear(width, inner)
        self.value = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)
        nn.init.eye_(self.value.weight)
        for part in (self.value.bias, self.down.weight, self.down.bias):
            nn.init.zeros_(part)

    def forward(self, patches: Tensor) -> Tensor:
        """Z_m ``(N, T, K, D)`` -> Z_m^g, the same shape; each frame by itself."""
        query, key = self.query(patches), self.key(patches)
        share = (query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5).softmax(-1)  # (N, T, K, K)
        gated = share @ self.value(patches)
        return self.down(nn.functional.gelu(self.up(self.norm(gated)))) + gated


def keyword_mask(
    dense: Tensor, relevance: Tensor, least_dense: float, least_relevance: float
) -> Tensor:
    """The foreground, Eq. 6 to 8: patches that any keyword covers which the frame shows at all.

    Args:
        dense: ``(..., W, K)``, A: how much each patch is each keyword, 0 to 1.
        relevance: ``(..., W)``, R: how similar the frame is to each keyword.
        least_dense, least_relevance: thr1 and thr2.
    Returns:
        ``(..., K)``, 1.0 or 0.0.
    """
    covered = (dense >= least_dense) & (relevance > least_relevance)[..., None]
    return covered.any(-2).to(dense.dtype)


def as_shares(similarity: Tensor) -> Tensor:
    """``(..., K)`` of any range -> 0 at the least similar patch, 1 at the most."""
    least, most = similarity.amin(-1, keepdim=True), similarity.amax(-1, keepdim=True)
    return (similarity - least) / (most - least).clamp(min=torch.finfo(similarity.dtype).eps)

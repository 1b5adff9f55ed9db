"""Dynamic attention routing (DAR): attention masks of growing receptive field, mixed per sample.

MTransLLAMA, Eq. 11 and 12. That alpha is a softmax, and that the router averages over frames, is
our reading; the paper leaves both open.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Router", "receptive_fields", "routed_attention"]

STRONGEST = 0.99  # of the bias's strength: nothing is hidden wholly
OPEN = 4.0  # logit of "everything" at the start, where the form is no identity by itself


def receptive_fields(count: int, length: int) -> Tensor:
    """Masks ``(count, length, length)`` of 0 and 1: first everything, then windows by halves."""
    place = torch.arange(length)
    distance = (place[:, None] - place).abs()
    widths = [length, *(max(1, length // 2 ** (j + 1)) for j in range(count - 1))]
    return torch.stack([(distance <= width).float() for width in widths])


class Router(nn.Module):
    """Which receptive fields one attention uses: ``alpha = softmax(MLP(APool(q)))``, Eq. 12."""

    def __init__(self, width: int, masks: int, hidden: int, form: str) -> None:
        super().__init__()
        self.form, self.masks = form, masks
        self.down = nn.Linear(width, hidden)
        self.up = nn.Linear(hidden, masks)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        if form == "log_bias":
            self.strength = nn.Parameter(torch.zeros(()))  # 0: the identity
        else:
            with torch.no_grad():
                self.up.bias[0] = OPEN

    def forward(self, queries: Tensor, frames: Tensor | None = None) -> Tensor:
        """``(B, T, L, D)`` -> alpha ``(B, masks)``; ``frames`` ``(B, T)``: 1 where there is one."""
        pooled = queries.mean(2).to(self.down.weight.dtype)  # (B, T, D)
        if frames is None:
            pooled = pooled.mean(1)
        else:
            there = frames.to(pooled.dtype)[..., None]
            pooled = (pooled * there).sum(1) / there.sum(1)
        return self.up(nn.functional.gelu(self.down(pooled))).softmax(-1)

    def field(self, alpha: Tensor, length: int, text: int = 0) -> Tensor:
        """What :func:`routed_attention` takes, for ``length`` queries and ``text`` tokens after.

        Returns:
            ``(B, 1, N, N)``; for the mixture ``(B, masks, N, N)``, already weighed by nothing.
            Text is always visible and sees everything.
        """
        fields = receptive_fields(self.masks, length).to(alpha)
        if text:
            fields = nn.functional.pad(fields, (0, text, 0, text), value=1.0)
        if self.form == "mixture":
            return fields.expand(len(alpha), -1, -1, -1)
        mixed = torch.einsum("bp,pij->bij", alpha, fields)[:, None]
        if self.form == "logit":
            return mixed
        strength = STRONGEST * self.strength.tanh()
        return (1.0 - strength * (1.0 - mixed)).log()


def routed_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor,
    form: str = "none",
    field: Tensor | None = None,
    alpha: Tensor | None = None,
) -> Tensor:
    """Attention ``(B, H, N, Dh)`` with the receptive fields mixed as ``form`` says.

    Args:
        bias: additive, ``(B or 1, 1 or H, N or 1, N)``. field, alpha: of a :class:`Router`.
            ``logit``: scores times the mixed field, as Eq. 11 is printed.
            ``log_bias``: the mixed field as a bias. ``mixture``: one softmax per field, averaged
            (TRAR).
    """
    if form in ("none", "log_bias") and not torch.is_grad_enabled():  # a kernel without gradients
        mask = bias if field is None else bias + field.to(bias.dtype)
        return nn.functional.scaled_dot_product_attention(query, key, value, mask.to(query.dtype))
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if form == "mixture" and field is not None and alpha is not None:
        hidden = (1.0 - field.to(scores.dtype)) * torch.finfo(scores.dtype).min  # (B, p, N, N)
        parts = [(scores + bias + h[:, None]).softmax(-1) for h in hidden.unbind(1)]
        weights = alpha.to(scores.dtype).unbind(1)
        seen = sum(w[:, None, None, None] * part for w, part in zip(weights, parts, strict=True))
        return seen @ value
    if field is not None:
        field = field.to(scores.dtype)
        scores = scores * field if form == "logit" else scores + field
    return (scores + bias).softmax(-1) @ value

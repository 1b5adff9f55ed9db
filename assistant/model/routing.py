"""Dynamic attention routing (DAR): attention masks of growing receptive field, mixed per sample.

MTransLLAMA, Eq. 11 and 12. That alpha is a softmax, and that the router averages over frames, is
our reading; the paper leaves both open.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.model.temporal import mean_over_frames

HIDDEN = 16  # width of a router; 192 would be more than the LoRAs at paper scale
STRONGEST = 0.99  # of the bias's strength: nothing is hidden wholly
OPEN = 4.0  # logit of "everything" at the start, where the form is no identity by itself


def receptive_fields(count: int, length: int) -> Tensor:
    """Masks ``(count, length, length)`` of 0 and 1: first everything, then windows by halves."""
    place = torch.arange(length)
    distance = (place[:, None] - place).abs()
    widths = [length, *(max(1, length // 2 ** (j + 1)) for j in range(count - 1))]
    return torch.stack([(distance <= width).float() for width in widths])


@dataclass(frozen=True)
class Route:
    """The receptive fields of one attention, and how they are mixed."""

    form: str  # one of `assistant.core.config.ROUTINGS`, not "none"
    alpha: Tensor  # (B, p), the weights of the fields, widest first
    field: Tensor  # (B, 1, N, N), mixed as the form takes it; (1, p, N, N) of the mixture


class Router(nn.Module):
    """Which receptive fields one attention uses: ``alpha = softmax(MLP(APool(q)))``, Eq. 12."""

    def __init__(self, width: int, masks: int, form: str) -> None:
        super().__init__()
        self.form, self.masks = form, masks
        self.down = nn.Linear(width, HIDDEN)
        self.up = nn.Linear(HIDDEN, masks)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)
        if form == "log_bias":
            self.strength = nn.Parameter(torch.zeros(()))  # 0: the identity
        else:
            with torch.no_grad():
                self.up.bias[0] = OPEN

    def forward(self, queries: Tensor, frames: Tensor | None, length: int, text: int = 0) -> Route:
        """The route of an attention over ``length`` places and ``text`` tokens after them.

        Args:
            queries: ``(B, T, L, D)``. frames: ``(B, T)``, 1 where there is one; None: all.
        """
        pooled = queries.mean(2).to(self.down.weight.dtype)  # (B, T, D)
        pooled = mean_over_frames(pooled[:, :, None], frames)[:, 0]  # (B, D)
        alpha = self.up(F.gelu(self.down(pooled))).softmax(-1)  # (B, p)
        fields = receptive_fields(self.masks, length).to(alpha)  # (p, length, length)
        fields = F.pad(fields, (0, text, 0, text), value=1.0)  # text is seen and sees everything
        return Route(self.form, alpha, self._mixed(alpha, fields))

    def _mixed(self, alpha: Tensor, fields: Tensor) -> Tensor:
        if self.form == "mixture":
            return fields[None]
        mixed = torch.einsum("bp,pij->bij", alpha, fields)[:, None]
        if self.form == "logit":
            return mixed
        strength = STRONGEST * self.strength.tanh()
        return (1.0 - strength * (1.0 - mixed)).log()


def routed_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor, route: Route | None = None
) -> Tensor:
    """Attention ``(B, G, H, N, Dh)`` inside each of G groups, over the fields of ``route``.

    ``logit``: scores times the mixed field, as Eq. 11 is printed. ``log_bias``: the mixed field as
    a bias. ``mixture``: one softmax per field, averaged (TRAR).

    Args:
        bias: additive, ``(B or 1, 1 or H, 1, S)``, or ``(B, G, 1 or H, 1, S)``. query: of the first
            N of S places.
    """
    bias = bias if bias.ndim == 5 else bias[:, None]  # (B or 1, 1 or G, 1 or H, 1, S)
    if route is not None:
        field = route.field[:, :, : query.shape[-2]].to(query.dtype)
        if route.form == "log_bias":  # a bias like any other from here on
            bias, route = bias + field[:, None], None
    if route is None and not torch.is_grad_enabled():  # a kernel without gradients
        same = bias.shape[:2] == (1, 1)
        bias = bias[0] if same else bias.expand(*query.shape[:2], -1, -1, -1).flatten(0, 1)
        q, k, v = (x.flatten(0, 1) for x in (query, key, value))
        return F.scaled_dot_product_attention(q, k, v, bias).unflatten(0, query.shape[:2])
    scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
    if route is None:
        return (scores + bias).softmax(-1) @ value
    if route.form == "logit":
        return (scores * field[:, None] + bias).softmax(-1) @ value
    hidden = (1.0 - field[0]) * torch.finfo(scores.dtype).min  # (p, N, S)
    weights = route.alpha.to(scores.dtype)[..., None, None, None, None].unbind(1)
    parts = [(scores + bias + one).softmax(-1) for one in hidden]
    return sum(w * part for w, part in zip(weights, parts, strict=True)) @ value

"""The object head: a convolutional network on an encoder's cached patches.

The middle map (2S x 2S cells) meets the deep map (S x S); residual blocks of depthwise and
pointwise convolutions (ConvNeXt's); heat maps of centers at twice the middle map's resolution
(CenterNet) with the distances to the four sides (TTFNet); how many there are, as P(n >= k);
and each cell's color.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.model.objects.config import ObjectsConfig

REACH = 0.25  # of the picture: unit of a distance to a side
RARE = -4.6  # logit of a center at the beginning: 1 %
SPREAD = 0.33  # standard deviation of a box's weights over cells, in the box's own size
LEAST_SIDE = 0.07  # of the picture: a smaller box is looked at as one of this size


@dataclass(frozen=True)
class Maps:
    """What the head sees in B pictures; G = 4S, C classes, N = (2S)^2 cells."""

    heat: Tensor  # (B, C, G, G) logits of a center
    boxes: Tensor  # (B, 4, G, G) left, top, right, bottom of the box around each place, 0 to 1
    counts: Tensor  # (B, C, levels) logits of "k or more"
    cells: Tensor  # (B, N, color_hidden) what tells each cell's color


class Block(nn.Module):
    """``(B, H, W, D)`` -> the same; the identity at the start."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, 2 * width)
        self.down = nn.Linear(2 * width, width)
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor) -> Tensor:
        near = self.depthwise(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x + self.down(F.gelu(self.up(self.norm(near))))


class ObjectNet(nn.Module):
    """Patches -> :class:`Maps`."""

    def __init__(self, config: ObjectsConfig) -> None:
        super().__init__()
        self.config = config
        width, classes = config.width, len(config.classes)
        self.fine = nn.Linear(config.fine, width)
        self.deep = nn.Linear(config.deep, width)
        self.deep_block = Block(width, kernel=3)
        self.blocks = nn.ModuleList(Block(width, kernel=5) for _ in range(config.blocks))
        self.norm = nn.LayerNorm(width)
        self.heat = nn.Linear(width, 4 * classes)
        self.sides = nn.Linear(width, 4 * 4)
        self.pool = nn.Linear(2 * width + config.deep, config.hidden)
        self.count = nn.Linear(config.hidden, classes * config.levels)
        self.cell = nn.Linear(config.fine, config.color_hidden)
        self.kind = nn.Embedding(classes, config.color_hidden)  # a dog is never green
        self.mixed = nn.Linear(config.color_hidden, config.color_hidden)
        self.color = nn.Linear(config.color_hidden, len(config.colors) + 1)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.normal_(self.heat.weight, std=0.01)
        nn.init.constant_(self.heat.bias, RARE)
        nn.init.constant_(self.count.bias, RARE)
        nn.init.normal_(self.kind.weight, std=0.1)

    def forward(self, patches: Tensor) -> Maps:
        """``patches``: ``(B, K, Dv)`` of `assistant.model.encoders.cnn`."""
        side, batch = self.config.side, len(patches)
        fine, deep = patches[..., : 4 * self.config.fine], patches[..., 4 * self.config.fine :]
        fine = F.pixel_shuffle(fine.transpose(1, 2).unflatten(2, (side, side)), 2)
        fine = fine.permute(0, 2, 3, 1)  # (B, 2S, 2S, Cm)
        seen = self.deep_block(self.deep(self.dropout(deep)).unflatten(1, (side, side)))
        seen = seen.repeat_interleave(2, 1).repeat_interleave(2, 2)
        x = self.fine(fine) + seen  # (B, 2S, 2S, D)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        cells = x.flatten(1, 2)  # (B, N, D)
        pooled = torch.cat([cells.mean(1), cells.amax(1), deep.mean(1)], dim=-1)
        counts = self.count(self.dropout(F.gelu(self.pool(pooled))))
        return Maps(
            heat=_finer(self.heat(x)).float(),
            boxes=_boxes(_finer(self.sides(x)).float()),
            counts=counts.float().view(batch, -1, self.config.levels),
            cells=self.cell(self.dropout(fine.flatten(1, 2))).float(),
        )

    def colors(self, cells: Tensor, boxes: Tensor, kinds: Tensor) -> Tensor:
        """Probabilities ``(M, colors)`` of the things in M boxes: the mean over cells, weighed by
        their nearness to the box's center and by what the head says of them.

        Args:
            cells: ``(M, N, color_hidden)``, of the picture of each box.
            boxes: ``(M, 4)``. kinds: ``(M,)`` classes.
        """
        x = F.gelu(cells + self.kind(kinds)[:, None])
        x = self.color(x + F.gelu(self.mixed(self.dropout(x))))  # (M, N, colors + 1)
        weights = (x[..., -1] + _nearness(boxes, 2 * self.config.side)).softmax(-1)
        return (weights[..., None] * x[..., :-1].softmax(-1)).sum(1)


def _finer(x: Tensor) -> Tensor:
    """``(B, 2S, 2S, 4 D)`` -> ``(B, D, G, G)``."""
    return F.pixel_shuffle(x.permute(0, 3, 1, 2), 2)


def _boxes(sides: Tensor) -> Tensor:
    """Distances from each place to the four sides -> corners, ``(B, 4, G, G)``."""
    reach = F.softplus(sides) * REACH
    grid = sides.shape[-1]
    place = (torch.arange(grid, device=sides.device) + 0.5) / grid
    x, y = place[None, None, :], place[None, :, None]
    left, top, right, bottom = reach.unbind(1)
    return torch.stack([x - left, y - top, x + right, y + bottom], dim=1)


def _nearness(boxes: Tensor, side: int) -> Tensor:
    """``(M, 4)`` -> ``(M, side^2)``: log of how near each cell is to the box's center."""
    place = (torch.arange(side, device=boxes.device) + 0.5) / side
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    reach = (boxes[:, 2:] - boxes[:, :2]).clamp(min=LEAST_SIDE) * SPREAD
    away = ((place - center[..., None]) / reach[..., None]) ** 2 / 2  # (M, 2, side)
    return -(away[:, 1, :, None] + away[:, 0, None, :]).flatten(1)


def at_least(counts: Tensor) -> Tensor:
    """Logits ``(..., levels)`` -> P(n >= k), which never rises with k."""
    return counts.sigmoid().cummin(-1).values

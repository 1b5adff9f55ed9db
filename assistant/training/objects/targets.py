"""What the maps of a batch of photos should be, from their labelled boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

SURE = 0.4  # score of a label from which it is one; below it may be one
LEAST_SIDE = 0.3  # places; what is smaller is no target
SHRINK = 0.54 / 6  # standard deviation of a center, in the box's own size (TTFNet)
NEAR = 0.05  # of a center: places that learn its box
DOUBT = 0.25  # weight of what may be


@dataclass(frozen=True)
class Targets:
    """Of B photos; see `assistant.model.objects.network.Maps`."""

    heat: Tensor  # (B, C, G, G) closeness to a center
    centers: Tensor  # (P, 4) places in it of the P centers
    trust: Tensor  # (P,) their weights
    boxes: Tensor  # (B, 4, G, G)
    box_weights: Tensor  # (B, G, G)
    counts: Tensor  # (B, C, levels) 1 where there are k or more; 0.5: it is not known
    count_weights: Tensor  # (B, C, levels)

    def to(self, device: torch.device) -> Targets:
        return Targets(*(value.to(device) for value in vars(self).values()))


def targets(labels: Sequence[np.ndarray], classes: int, grid: int, levels: int) -> Targets:
    """``labels``: ``(M, 6)`` of each photo: class, score, corners."""
    batch = len(labels)
    heat = np.zeros((batch, classes, grid, grid), np.float32)
    centers: dict[tuple[int, ...], float] = {}
    boxes = np.zeros((batch, 4, grid, grid), np.float32)
    box_weights = np.zeros((batch, grid, grid), np.float32)
    counts = np.zeros((batch, classes, levels), np.float32)
    count_weights = np.ones_like(counts)
    y, x = np.mgrid[:grid, :grid].astype(np.float32)
    for i, found in enumerate(labels):
        sides = (found[:, 4:] - found[:, 2:4]).clip(min=0) * grid
        for row in np.argsort(-sides.prod(1)):  # the small over the large
            kind, score, (width, height) = int(found[row, 0]), found[row, 1], sides[row]
            if min(width, height) <= LEAST_SIDE:
                continue
            at_x, at_y = ((found[row, 2:4] + found[row, 4:]) / 2 * grid).astype(int)
            at_x, at_y = min(at_x, grid - 1), min(at_y, grid - 1)
            spread_x, spread_y = max(width * SHRINK, 0.3), max(height * SHRINK, 0.3)
            near = np.exp(-(((x - at_x) / spread_x) ** 2 + ((y - at_y) / spread_y) ** 2) / 2)
            np.maximum(heat[i, kind], near, out=heat[i, kind])
            trust, place = _trust(score), (i, kind, int(at_y), int(at_x))
            centers[place] = max(centers.get(place, 0.0), trust)
            learns = near > NEAR
            share = near[learns] / near[learns].sum() * trust
            box_weights[i][learns] = share * np.log1p(width * height)
            boxes[i][:, learns] = found[row, 2:, None]
        for kind in set(found[:, 0].astype(int)):
            scores = found[found[:, 0] == kind, 1]
            sure, most = min(levels, int((scores >= SURE).sum())), min(levels, len(scores))
            counts[i, kind, :sure] = 1.0
            counts[i, kind, sure:most] = 0.5
            count_weights[i, kind, sure:most] = DOUBT
    return Targets(
        torch.from_numpy(heat),
        torch.tensor(list(centers), dtype=torch.long).reshape(-1, 4),
        torch.tensor(list(centers.values()), dtype=torch.float32),
        *map(torch.from_numpy, (boxes, box_weights, counts, count_weights)),
    )


def _trust(score: float) -> float:
    """Weight of a label of this score: 0.3 to 1."""
    return float(np.clip((score - 0.1) / 0.35, 0.3, 1.0))

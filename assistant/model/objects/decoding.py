"""From maps to boxes: the peaks of the heat, the weaker of two that overlap left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from assistant.model.objects.network import Maps

MOST = 60  # boxes of a picture
COUNTED = 0.4  # score from which a box is counted
OVERLAP = 0.55  # IoU from which two boxes of a class are of one thing


@dataclass(frozen=True)
class Boxes:
    """The boxes of one picture, the likeliest first."""

    corners: Tensor  # (M, 4) left, top, right, bottom, 0 to 1
    scores: Tensor  # (M,)
    classes: Tensor  # (M,)


def decode(maps: Maps, most: int = MOST) -> list[Boxes]:
    """The boxes of each picture."""
    heat = maps.heat.sigmoid()
    peaks = heat * (F.max_pool2d(heat, 3, stride=1, padding=1) == heat)
    best = peaks.flatten(1).topk(min(most, peaks[0].numel()))
    places = heat.shape[-1] ** 2
    found = []
    for scores, index, boxes in zip(best.values, best.indices, maps.boxes, strict=True):
        corners = boxes.flatten(1)[:, index % places].T.clamp(0, 1)
        found.append(_distinct(Boxes(corners, scores, index // places)))
    return found


def numbers(more: Tensor, boxes: Sequence[Boxes]) -> Tensor:
    """How many of each class B pictures show, ``(B, C)``: the mean of two estimates, what P(n >= k)
    ``(B, C, levels)`` expects and the boxes that are sure."""
    classes = more.shape[1]
    sure = [torch.bincount(one.classes[one.scores >= COUNTED], minlength=classes) for one in boxes]
    return ((more.sum(-1) + torch.stack(sure)) / 2 + 0.5).floor().long()


def _distinct(boxes: Boxes) -> Boxes:
    alike = (iou(boxes.corners, boxes.corners) > OVERLAP).tolist()
    classes = boxes.classes.tolist()
    kept: list[int] = []
    for i, kind in enumerate(classes):
        if not any(alike[i][j] and classes[j] == kind for j in kept):
            kept.append(i)
    at = torch.tensor(kept, dtype=torch.long)
    return Boxes(boxes.corners[at], boxes.scores[at], boxes.classes[at])


def iou(one: Tensor, other: Tensor) -> Tensor:
    """Intersection over union of boxes ``(M, 4)`` and ``(N, 4)``: ``(M, N)``."""
    low = torch.maximum(one[:, None, :2], other[None, :, :2])
    high = torch.minimum(one[:, None, 2:], other[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    return shared / (area(one)[:, None] + area(other)[None] - shared).clamp(min=1e-9)


def area(boxes: Tensor) -> Tensor:
    """``(..., 4)`` -> ``(...)``."""
    return (boxes[..., 2:] - boxes[..., :2]).clamp(min=0).prod(-1)

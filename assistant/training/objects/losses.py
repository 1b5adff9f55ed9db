"""What the object head loses: centers, boxes, numbers, colors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from assistant.model.objects.decoding import area
from assistant.model.objects.network import Maps
from assistant.training.objects.targets import Targets

Corner = Callable[[Tensor, Tensor], Tensor]
TYPICAL = 3  # classes of a photo: unit of the loss of numbers


def detection_loss(maps: Maps, wanted: Targets, box_weight: float, count_weight: float) -> Tensor:
    """Centers, boxes and numbers of a batch."""
    boxes, box_weights = maps.boxes.permute(0, 2, 3, 1), wanted.box_weights
    learns = box_weights > 0
    overlap = giou(boxes[learns], wanted.boxes.permute(0, 2, 3, 1)[learns])
    weights = box_weights[learns]
    box_loss = ((1 - overlap) * weights).sum() / weights.sum().clamp(min=1e-6)
    numbers = F.binary_cross_entropy_with_logits(maps.counts, wanted.counts, wanted.count_weights)
    numbers = numbers * maps.counts[0].numel() / TYPICAL
    return center_loss(maps.heat, wanted) + box_weight * box_loss + count_weight * numbers


def center_loss(heat: Tensor, wanted: Targets) -> Tensor:
    """CornerNet's focal loss: centers by their weight, places near one forgiven."""
    at = wanted.centers.unbind(1)
    away = (1 - wanted.heat) ** 4  # 0 at the centers themselves
    p = heat.sigmoid()
    false = (away * p * p * F.softplus(heat)).sum()
    missed = (wanted.trust * (1 - p[at]) ** 2 * -F.logsigmoid(heat[at])).sum()
    return (missed + false) / wanted.trust.sum().clamp(min=1.0)


def giou(boxes: Tensor, wanted: Tensor) -> Tensor:
    """Generalised IoU of pairs of boxes ``(M, 4)``: ``(M,)``."""
    shared = _span(torch.maximum, torch.minimum, boxes, wanted)
    around = _span(torch.minimum, torch.maximum, boxes, wanted).clamp(min=1e-6)
    union = (area(boxes) + area(wanted) - shared).clamp(min=1e-6)
    return shared / union - (around - union) / around


def _span(low: Corner, high: Corner, one: Tensor, other: Tensor) -> Tensor:
    corners = [low(one[:, :2], other[:, :2]), high(one[:, 2:], other[:, 2:])]
    return area(torch.cat(corners, dim=-1))

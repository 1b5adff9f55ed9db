"""The losses of an action recogniser that learns from a vision-language teacher
(action_recognition_vision_language, Eq. 4 to 12): L = L_ce + L_text + alpha L_image."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """L_ce, Eq. 3 and 4, of ``(N, C)`` and ``(N,)``."""
    return F.cross_entropy(logits, labels)


def text_loss(
    video: Tensor, texts: Tensor, positive: Tensor, negative: Tensor, temperature: float
) -> Tensor:
    """L_text, Eq. 12.

    Args:
        video: ``(N, E)``, Z_v^m, unit vectors. texts: ``(S, E)``, all descriptions, unit vectors.
        positive, negative: ``(N, P)``, ``(N, K)``, places among ``texts``.
    """
    scores = video @ texts.T / temperature  # (N, S)
    right = scores.gather(1, positive)
    every = torch.cat([right, scores.gather(1, negative)], dim=1)  # (N, P + K)
    return (every.logsumexp(1) - right.logsumexp(1)).mean()


def image_loss(
    video: Tensor, teacher: Tensor, there: Tensor | None = None, mask: Tensor | None = None
) -> Tensor:
    """L_image: L1 between the video encoder's patches, interpolated to the teacher's grid, and the
    gated teacher's; a mean over patches, so that alpha does not depend on the grid.

    Args:
        video: ``(N, T, K, D)``. teacher: ``(N, T, K', D)``, Z_m^g.
        there: ``(N, T)``, 1 where there is a frame. mask: ``(N, T, K')`` of Eq. 8; outside it
            neither side counts.
    """
    apart = (teacher - resized(video, teacher.shape[2])).abs().mean(-1)  # (N, T, K')
    if mask is not None:
        apart = apart * mask
    frames = apart.mean(-1)  # (N, T)
    if there is None:
        return frames.mean()
    return (frames * there).sum() / there.sum().clamp(min=1)


def resized(patches: Tensor, count: int) -> Tensor:
    """``(N, T, K, D)`` -> ``(N, T, K', D)``: another square grid of patches, bilinear."""
    side, wanted = math.isqrt(patches.shape[2]), math.isqrt(count)
    if side == wanted:
        return patches
    grid = patches.flatten(0, 1).transpose(1, 2).unflatten(2, (side, side))  # (N T, D, g, g)
    grid = F.interpolate(grid, (wanted, wanted), mode="bilinear", align_corners=False)
    return grid.flatten(2).transpose(1, 2).unflatten(0, patches.shape[:2])

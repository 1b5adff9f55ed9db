"""The equations of Cross-modal Knowledge Mining, 3.2 to 3.7, on vectors of a joint space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

TAU = 0.01  # temperature, 4.1.1


def video_vector(frames: Tensor) -> Tensor:
    """z_v (3.2): ``(T, E)`` -> ``(E,)``, the mean."""
    return frames.mean(0)


def saliency(
    frames: Tensor, words: Tensor, there: Tensor | None = None, tau: float = TAU
) -> Tensor:
    """s_t (3.5): how much each frame is about some words; sums to 1 over the frames.

    With one vector it is the equation as it stands, z that of a sentence. With several it is the
    mean of each word's, as in BIKE (Wu et al., CVPR 2023).

    Args:
        frames: ``(T, E)``. words: ``(M, E)``. there: ``(M,)``, False where a word is padding;
            without a single word all frames are alike.
    """
    kept = words if there is None else words[there]
    if not len(kept):
        return torch.full((len(frames),), 1 / len(frames))
    return (frames @ kept.T / tau).softmax(0).mean(1)


def event_vector(frames: Tensor, shares: Tensor) -> Tensor:
    """z_e (3.5): frames ``(T, E)`` weighed by their saliency ``(T,)`` -> ``(E,)``."""
    return shares @ frames


def scene_vector(video: Tensor, text: Tensor, alpha: float) -> Tensor:
    """z_s (3.6): alpha z_v + (1 - alpha) z_t."""
    return alpha * video + (1 - alpha) * text


def event_probabilities(event: Tensor, weights: Tensor, bias: Tensor) -> Tensor:
    """P(y|V) (3.7): ``(..., E)``, ``(K, E)``, ``(K,)`` -> ``(..., K)``."""
    return (event @ weights.T + bias).softmax(-1)


def late_fusion(video: Tensor, attributes: Tensor, weight: float) -> Tensor:
    """Probabilities of the two branches, ``weight`` that of the video's."""
    return weight * video + (1 - weight) * attributes


def label_vectors(vectors: Tensor) -> Tensor:
    """Prompt ensemble: ``(K, P, E)`` of P templates -> their mean directions, ``(K, E)``."""
    return F.normalize(vectors.mean(1), dim=-1)

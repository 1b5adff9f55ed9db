"""From pictures to vectors of the joint space: looked at once, or twice where that is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional as F

from assistant.sources import Look

if TYPE_CHECKING:
    from torch import Tensor

    from assistant.model.sight import Sight
    from assistant.model.space.base import JointSpace

MARGIN = 0.07  # of a side, that the second look leaves out on each
SIDE = 448  # pixels of the longer side, where the space does not say


@dataclass(frozen=True, eq=False)
class Seen:
    """Frames, encoded."""

    frames: Tensor  # (T, E)
    once: Tensor  # (T, E) the same as they were seen first
    classes: Tensor  # (T, C) probabilities of the encoder's own classes

    def some(self, places: Sequence[int]) -> Seen:
        own = list(places)
        return Seen(self.frames[own], self.once[own], self.classes[own])


def side_of(space: JointSpace) -> int:
    """Pixels of a picture's longer side that the space sees."""
    return getattr(space, "side", SIDE)


def look_at(sight: Sight, frames: np.ndarray, seconds: Sequence[float]) -> Look:
    """``(T, H, W, 3)`` uint8 RGB with their times, as sources see them."""
    features = sight.encoder(frames)
    return Look(
        patches=features.patches.cpu(),
        classes=features.classes.cpu(),
        class_names=sight.class_names,
        seconds=seconds,
        encoder=sight.encoder_fingerprint,
        pictures=lambda count, side: (frames, seconds),
        space=lambda: sight.space,
    )


def see(
    sight: Sight, frames: np.ndarray, seconds: Sequence[float], look: Look | None = None
) -> Seen:
    """``(T, H, W, 3)`` uint8 RGB, :func:`side_of` pixels or less, with their times; ``look``: what
    :func:`look_at` made of them, where that was done."""
    look = look or look_at(sight, frames, seconds)
    with torch.inference_mode():
        once = both = sight.space.embed_frames(look)
        if sight.space.looks_twice:
            again = sight.space.embed_frames(look_at(sight, middle(frames), seconds))
            both = F.normalize(once + again, dim=-1)
    return Seen(both, once, look.classes)


def middle(frames: np.ndarray) -> np.ndarray:
    """``(T, H, W, 3)`` without their margins, mirrored: what a second look sees."""
    top, left = (round(MARGIN * side) for side in frames.shape[1:3])
    height, width = frames.shape[1:3]
    return np.ascontiguousarray(frames[:, top : height - top, left : width - left][:, :, ::-1])

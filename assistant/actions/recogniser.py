"""What names an action, and mini's video encoder for it: a small transformer in space and time on
frozen encoder maps. One of a model hub is in `assistant.actions.video`.

Z_v is what it makes of the patches; Z_v^cls their mean, a linear classifier's input (Eq. 2) and, by
way of Phi_m, a vector among texts (Eq. 11).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.core.bounds import check_bounds
from assistant.errors import ConfigError, InputError
from assistant.model.temporal import FrameContrast, mean_over_frames


@dataclass(frozen=True)
class RecogniserConfig:
    """Its shape."""

    frames: int = 8  # of a clip
    grid: int = 4  # patches of a side, pooled from the encoder's
    width: int = 96  # D
    heads: int = 4
    layers: int = 1
    contrast: int = 24  # channels that tell what changes between frames
    dropout: float = 0.2

    def __post_init__(self) -> None:
        check_bounds(self, frames=(1, 256), grid=(1, 64), width=(1, 4096), heads=(1, 64))
        check_bounds(self, layers=(1, 24), contrast=(1, 4096), dropout=(0, 0.9))
        if self.width % self.heads:
            raise ConfigError(
                f"width is {self.width} and heads {self.heads}; give a width that they divide"
            )


class SpaceTimeBlock(nn.Module):
    """Divided attention (TimeSformer, Bertasius et al. 2021): over the frames of each patch, then
    over the patches of each frame; and what changes."""

    def __init__(self, config: RecogniserConfig) -> None:
        super().__init__()
        width, heads = config.width, config.heads
        self.norm = nn.LayerNorm(width)
        self.time = nn.MultiheadAttention(width, heads, batch_first=True)
        self.space = nn.TransformerEncoderLayer(
            width, heads, 2 * width, config.dropout, "gelu", batch_first=True, norm_first=True
        )
        self.contrast = FrameContrast(width, config.contrast)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        """``(N, T, K, D)`` -> the same; ``frames`` ``(N, T)``: 1 where there is one."""
        count, _, patches, _ = x.shape
        swapped = self.norm(x).transpose(1, 2).flatten(0, 1)  # (N K, T, D)
        absent = (frames == 0).repeat_interleave(patches, 0)
        moved, _ = self.time(swapped, swapped, swapped, key_padding_mask=absent, need_weights=False)
        x = x + moved.unflatten(0, (count, patches)).transpose(1, 2)
        x = self.space(x.flatten(0, 1)).unflatten(0, (count, -1))
        return self.contrast(x, frames)


class ActionNetwork(nn.Module, ABC):
    """What is seen of a clip in; patches, logits of C actions and a vector among texts out."""

    frames: int  # of a clip that it sees
    times: int  # T' of its patches
    grid: int  # patches of a side

    def add_outputs(self, width: int, classes: int, text_width: int, dropout: float) -> None:
        """The last layers; weights are drawn in the order of the way that a clip takes."""
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, classes)  # Phi
        self.to_text = nn.Linear(width, text_width)  # Phi_m

    def checkpoint(self) -> None:
        """From now on a step of training keeps less in memory, and computes it again.

        Raises:
            InputError: there is little to save.
        """
        raise InputError(
            "checkpointing is for a video encoder, given with --video-encoder; leave it out of the "
            "recipe"
        )

    @abstractmethod
    def states(self, seen: Tensor, frames: Tensor, motion: Tensor | None = None) -> Tensor:
        """Z_v ``(N, T', g g, D)`` of what is seen; ``frames`` ``(N, T')``: 1 where there is one;
        ``motion``: what a `MotionReader` makes of it, for a network that takes that: ``(N, T',
        g g + 1, D)`` then, as no patch of a picture tells it."""

    def patches(self, states: Tensor) -> Tensor:
        """``(N, T', g g, D)`` of the states."""
        return states[:, :, : self.grid**2]

    def summary(self, states: Tensor, frames: Tensor) -> Tensor:
        """Z_v^cls ``(N, D)``."""
        return self.dropout(mean_over_frames(states, frames).mean(1))

    def logits(self, summary: Tensor) -> Tensor:
        """``(N, C)``, Eq. 2."""
        return self.classifier(summary)

    def embed(self, summary: Tensor) -> Tensor:
        """Z_v^m ``(N, E)``, unit vectors, Eq. 11."""
        return F.normalize(self.to_text(summary), dim=-1)


class Recogniser(ActionNetwork):
    """mini's: patches of the frozen encoder in."""

    def __init__(
        self,
        config: RecogniserConfig,
        patch_width: int,
        classes: int,
        text_width: int,
        motion_width: int = 0,
    ) -> None:
        """``motion_width``: of what a `MotionReader` makes of a frame; 0: it has none."""
        super().__init__()
        self.config = config
        self.frames, self.times, self.grid = config.frames, config.frames, config.grid
        self.patch_norm = nn.LayerNorm(patch_width)
        self.patch = nn.Linear(patch_width, config.width)
        self.place = nn.Parameter(torch.randn(config.grid**2, config.width) * 0.02)
        self.moment = nn.Parameter(torch.randn(config.frames, 1, config.width) * 0.02)
        self.motion = None
        if motion_width:
            own = nn.Linear(motion_width, config.width)
            self.motion = nn.Sequential(nn.LayerNorm(motion_width), own)
        self.blocks = nn.ModuleList(SpaceTimeBlock(config) for _ in range(config.layers))
        self.add_outputs(config.width, classes, text_width, config.dropout)

    def states(self, seen: Tensor, frames: Tensor, motion: Tensor | None = None) -> Tensor:
        """Of the encoder's ``(N, T, K, Dv)``, T at most the config's; ``motion`` ``(N, T, Dm)``."""
        x = self.patch(self.patch_norm(pooled(seen.to(self.place.dtype), self.config.grid)))
        x = x + self.place  # (N, T, g g, D)
        if self.motion is not None:
            assert motion is not None
            x = torch.cat([x, self.motion(motion)[:, :, None]], dim=2)
        x = x + self.moment[: x.shape[1]]
        for block in self.blocks:
            x = block(x, frames)
        return self.norm(x)


def pooled(patches: Tensor, side: int) -> Tensor:
    """``(N, T, K, D)`` of a square grid -> ``(N, T, side side, D)``, the means."""
    own = math.isqrt(patches.shape[2])
    if own == side:
        return patches
    cells = torch.eye(own * own, device=patches.device, dtype=patches.dtype)
    means = F.adaptive_avg_pool2d(cells.unflatten(1, (own, own)), side)  # of each cell: its shares
    return means.flatten(1).T @ patches  # a product: pooling maps of 1744 channels takes longer

"""What attention over frames lacks: a sense of when, and of what changes. Both are ours."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SHARPNESS = 10.0  # of the heads' windows at the start; the clip is 1 long


class TimeWindows(nn.Module):
    """Where in the clip each head of an attention over frames looks: a bias that falls off with the
    square of the distance from the head's own time. Heads begin spread from end to end, so that
    what differs between first and last frames can be learned from the first step; T may be any."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.linspace(0.0, 1.0, heads))
        self.sharpness = nn.Parameter(torch.full((heads,), math.log(SHARPNESS)))

    def forward(self, times: Tensor) -> Tensor:
        """``(B, T)``, 0 at the clip's first frame and 1 at its last -> bias ``(B, H, 1, T)``."""
        distance = times[:, None] - self.centre[:, None]
        return (-self.sharpness.exp()[:, None] * distance.square())[:, :, None]


class FrameContrast(nn.Module):
    """What changes: adds to each query, by way of a few channels, how it differs from itself in the
    clip's first, last and mean frame. Nothing at the start, and nothing where nothing changes; T
    may be any.

    A frozen image model knows in every frame where a thing is. Motion is the difference, which
    attention over frames, a weighted mean, has to learn to take.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, 3 * channels, bias=False)
        self.up = nn.Linear(3 * channels, width, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor, frames: Tensor | None) -> Tensor:
        """``(B, T, L, D)`` -> the same; ``frames`` ``(B, T)``: 1 where there is a frame."""
        told = F.linear(x, self.down.weight.to(x.dtype))  # (B, T, L, 3C)
        last = told[:, -1]
        if frames is not None:
            last = told[torch.arange(len(told), device=told.device), frames.sum(1) - 1]
        others = (told[:, :1], last[:, None], mean_over_frames(told, frames)[:, None])
        against = [other.chunk(3, dim=-1)[place] for place, other in enumerate(others)]
        changes = F.gelu(told - torch.cat(against, dim=-1))
        return x + F.linear(changes, self.up.weight.to(x.dtype))


class NeighbourContrast(nn.Module):
    """What changes from frame to frame: adds to each query, by way of a few channels, how it
    differs from itself a frame before and a frame after. Nothing at the start.

    First, last and mean frame say that something moves in a clip; when it does, its neighbours.
    """

    def __init__(self, width: int, channels: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, 2 * channels, bias=False)
        self.up = nn.Linear(2 * channels, width, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor, frames: Tensor | None) -> Tensor:
        """``(B, T, L, D)`` -> the same; ``frames`` ``(B, T)``: 1 where there is a frame."""
        before, after = F.linear(x, self.down.weight.to(x.dtype)).chunk(2, dim=-1)  # (B, T, L, C)
        steps = after.diff(dim=1)  # (B, T-1, L, C), to the frame after
        if frames is not None:
            steps = steps * frames[:, 1:, None, None].to(x.dtype)
        nothing = torch.zeros_like(after[:, :1])
        changes = torch.cat(
            [before.diff(dim=1, prepend=before[:, :1]), torch.cat([steps, nothing], 1)], dim=-1
        )
        return x + F.linear(F.gelu(changes), self.up.weight.to(x.dtype))


def mean_over_frames(x: Tensor, frames: Tensor | None) -> Tensor:
    """``(B, T, N, D)`` -> ``(B, N, D)``; ``frames`` ``(B, T)``: 1 where there is a frame."""
    if frames is None:
        return x.mean(1)
    there = frames.to(x.dtype)[:, :, None, None]
    return (x * there).sum(1) / there.sum(1)

"""What is heard beside each frame: tokens of a frozen audio encoder for the Q-Former's fusion.

Sound is cut into as many parts as there are frames and each part into a few tokens, so that what is
heard at a moment meets what is seen at it. Where there is no sound there is nothing to attend to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = 64  # of the projection
MOSTLY = 0.5  # share of a token's time from which on it counts as heard


@dataclass(frozen=True, eq=False)
class Heard:
    """Of one clip, or of B clips with B before each shape."""

    tokens: Tensor  # (T, A, Wa), of the audio encoder
    mask: Tensor  # (T, A), 1 where there is sound

    def to(self, device: torch.device) -> Heard:
        return Heard(self.tokens.to(device), self.mask.to(device))

    def of(self, frames: Sequence[int]) -> Heard:
        """Beside some of one clip's frames, by their numbers."""
        return Heard(self.tokens[list(frames)], self.mask[list(frames)])


def cut_sound(features: Tensor, expected: int, frames: int, tokens: int) -> Heard:
    """What an encoder heard ``(F, Wa)`` beside ``frames`` frames, ``tokens`` of each.

    ``expected``: how long it were, had the clip sound to its end; beyond F nothing is heard.
    """
    length = max(expected, 1)
    there = F.pad(torch.ones(min(len(features), length)), (0, max(0, length - len(features))))
    known = F.pad(features[:length].float(), (0, 0, 0, max(0, length - len(features))))
    count = frames * tokens
    share = F.adaptive_avg_pool1d(there[None], count)[0]  # (T*A,)
    summed = F.adaptive_avg_pool1d(known.T[None], count)[0]  # (Wa, T*A)
    mean = (summed / share.clamp(min=1e-6)).T.contiguous()
    return Heard(
        mean.half().unflatten(0, (frames, -1)), (share > MOSTLY).long().unflatten(0, (frames, -1))
    )


def together(clips: Sequence[Heard | None]) -> Heard | None:
    """A batch of clips of as many frames; those of None are not heard. None: none is."""
    there = [one for one in clips if one is not None]
    if not there:
        return None
    nothing = Heard(torch.zeros_like(there[0].tokens), torch.zeros_like(there[0].mask))
    rows = [one or nothing for one in clips]
    tokens = torch.stack([row.tokens.float() for row in rows])  # bf16 autocast stacks no fp16
    return Heard(tokens, torch.stack([row.mask for row in rows]))


class SoundTokens(nn.Module):
    """Brings the encoder's tokens to the Q-Former's width by way of a few channels, and tells all
    queries of a frame, by the same, what is heard beside it: nothing at the start."""

    def __init__(self, heard_width: int, width: int, tokens: int) -> None:
        super().__init__()
        self.down = nn.Linear(heard_width, CHANNELS, bias=False)
        self.up = nn.Linear(CHANNELS, width, bias=False)
        self.order = nn.Parameter(torch.zeros(tokens, width))  # of a frame's tokens
        self.norm = nn.LayerNorm(width)
        self.told = nn.Linear(CHANNELS, width, bias=False)
        nn.init.zeros_(self.told.weight)

    def forward(self, heard: Heard) -> tuple[Tensor, Tensor]:
        """Tokens ``(B, T, A, D)``, and what to add to a frame's queries ``(B, T, D)``."""
        tokens = heard.tokens.to(self.down.weight.dtype)
        channels = self.down(F.layer_norm(tokens, tokens.shape[-1:]))  # (B, T, A, C)
        there = heard.mask[..., None].to(channels.dtype)
        mean = (F.gelu(channels) * there).sum(2) / there.sum(2).clamp(min=1.0)
        return self.norm(self.up(channels) + self.order), self.told(mean)

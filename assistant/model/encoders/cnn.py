"""The frozen image encoder: frames to patch features and, in the same pass, ImageNet classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from assistant.core.config import EncoderConfig
from assistant.model.encoders.efficientnet import EfficientNetLite

__all__ = ["FrameFeatures", "ImageEncoder"]

CLASSES = 1000
CHUNK = 16  # frames encoded at once: bounds the memory of long clips


@dataclass(frozen=True, eq=False)
class FrameFeatures:
    """What the encoder saw in T frames."""

    patches: Tensor  # (T, K, Dv) fp16
    classes: Tensor  # (T, 1000) fp32, ImageNet-1k probabilities


class ImageEncoder(nn.Module):
    """EfficientNet-Lite, read at two depths.

    A patch holds the stride-16 map (2 x 2 cells unshuffled), the deep map (each normalised over
    its channels) and its 2-D sine position, so K = (S/32)^2 and Dv = 4 Cm + Cd + position_width.
    ``names`` are the 1000 classes'; without them there are no attributes.
    """

    def __init__(
        self, network: EfficientNetLite, config: EncoderConfig, names: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.config = config
        self.names = tuple(names)
        self.side = config.size // 32
        deep = network.head_width if config.deep == "head" else network.last_width
        self.width = 4 * network.mid_width + deep + config.position_width
        self.register_buffer("position", sine_position(self.side, config.position_width))
        self.requires_grad_(False).eval()

    @property
    def patch_count(self) -> int:
        """K, the patches of one frame."""
        return self.side**2

    @property
    def fingerprint(self) -> str:
        """All that decides the features of a picture."""
        config, dtype = self.config, self.network._conv_stem.weight.dtype
        return f"{config.weights}-{config.size}-{config.deep}-{config.position_width}-{dtype}"

    @property
    def class_count(self) -> int:
        """Classes that it tells apart: those of ImageNet-1k."""
        return CLASSES

    @torch.inference_mode()
    def forward(self, frames: np.ndarray) -> FrameFeatures:
        """``frames`` ``(T, H, W, 3)`` uint8 RGB of any size -> :class:`FrameFeatures`."""
        parts = [self._encode(batch) for batch in self._batches(frames)]
        return FrameFeatures(
            patches=torch.cat([patches for patches, _ in parts]),
            classes=torch.cat([classes for _, classes in parts]),
        )

    def _batches(self, frames: np.ndarray) -> Iterator[Tensor]:
        """Square uint8 pictures ``(n <= CHUNK, 3, S, S)``; the whole frame, never a crop."""
        square = (self.config.size, self.config.size)
        for start in range(0, len(frames), CHUNK):
            pictures = [
                np.asarray(Image.fromarray(frame).resize(square, Image.Resampling.BICUBIC))
                for frame in frames[start : start + CHUNK]
            ]
            yield torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)

    def _encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        weight = self.network._conv_stem.weight
        x = self.network.normalise(pixels.to(weight.device, torch.float32)).to(weight.dtype)
        mid, last = self.network.features(x.contiguous(memory_format=torch.channels_last))
        head = self.network.head(last)
        classes = self.network.classify(head).float().softmax(-1)
        deep = head if self.config.deep == "head" else last
        return self._patches(mid.float(), deep.float()), classes

    def _patches(self, mid: Tensor, deep: Tensor) -> Tensor:
        fine = F.pixel_unshuffle(mid, 2).flatten(2).transpose(1, 2)  # (n, K, 4 Cm)
        coarse = deep.flatten(2).transpose(1, 2)  # (n, K, Cd)
        fine = F.layer_norm(fine, fine.shape[-1:])
        coarse = F.layer_norm(coarse, coarse.shape[-1:])
        position = self.position.expand(len(fine), -1, -1)
        return torch.cat([fine, coarse, position], dim=-1).half()  # (n, K, Dv)


def sine_position(side: int, width: int) -> Tensor:
    """2-D sine position of a ``side x side`` grid, ``(side^2, width)``: half for y, half for x."""
    quarter = width // 4
    frequency = torch.pi * 2.0 ** torch.arange(quarter).float() / 2  # half a wave over the picture
    place = (torch.arange(side).float() + 0.5) / side
    angle = place[:, None] * frequency  # (side, quarter)
    wave = torch.cat([angle.sin(), angle.cos()], dim=-1)  # (side, width / 2)
    rows = wave[:, None].expand(side, side, -1)
    columns = wave[None].expand(side, side, -1)
    return torch.cat([rows, columns], dim=-1).reshape(side * side, width)

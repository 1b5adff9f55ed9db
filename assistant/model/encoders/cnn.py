"""EfficientNet-Lite as the image encoder: patch features and ImageNet classes in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from assistant.core.config import EfficientNetConfig
from assistant.model.encoders.base import Encoder, FrameFeatures
from assistant.model.encoders.efficientnet import CLASSES, EfficientNetLite, load_checkpoint
from assistant.model.encoders.imagenet import read_class_names
from assistant.weights import store as weights_store

CLASS_NAMES = "imagenet-names"  # in the weights lock


class EfficientNetEncoder(Encoder):
    """EfficientNet-Lite, read at two depths.

    A patch holds the stride-16 map (2 x 2 cells unshuffled), the deep map (each normalised over
    its channels) and its 2-D sine position, so K = (S/32)^2 and Dv = 4 Cm + Cd + position_width.
    ``names`` are the 1000 classes'; without them there are no attributes.
    """

    def __init__(
        self, network: EfficientNetLite, config: EfficientNetConfig, names: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.config = config
        self.names = tuple(names)
        self.side = config.size // 32
        self.width = _width(network, config)
        self.register_buffer("position", sine_position(self.side, config.position_width))
        self.requires_grad_(False).eval()

    @classmethod
    def load(
        cls, config: EfficientNetConfig, folder: Path, dtype: torch.dtype
    ) -> EfficientNetEncoder:
        network = load_checkpoint(config.weights, next(folder.rglob("*.pth")))
        return cls(network.to(dtype), config, read_class_names(weights_store.ensure(CLASS_NAMES)))

    @staticmethod
    def width_of(config: EfficientNetConfig) -> int:
        with torch.device("meta"):
            return _width(EfficientNetLite(config.weights), config)

    @property
    def patch_count(self) -> int:
        return self.side**2

    @property
    def class_count(self) -> int:
        return CLASSES

    @property
    def fingerprint(self) -> str:
        config, dtype = self.config, self.network._conv_stem.weight.dtype
        return f"{config.weights}-{config.size}-{config.deep}-{config.position_width}-{dtype}"

    def encode(self, pictures: Tensor) -> FrameFeatures:
        weight = self.network._conv_stem.weight
        x = self.network.normalise(pictures.to(weight.device, torch.float32)).to(weight.dtype)
        mid, last = self.network.features(x.contiguous(memory_format=torch.channels_last))
        head = self.network.head(last)
        classes = self.network.classify(head).float().softmax(-1)
        deep = head if self.config.deep == "head" else last
        return FrameFeatures(self._patches(mid.float(), deep.float()), classes)

    def _patches(self, mid: Tensor, deep: Tensor) -> Tensor:
        fine = F.pixel_unshuffle(mid, 2).flatten(2).transpose(1, 2)  # (n, K, 4 Cm)
        coarse = deep.flatten(2).transpose(1, 2)  # (n, K, Cd)
        fine = F.layer_norm(fine, fine.shape[-1:])
        coarse = F.layer_norm(coarse, coarse.shape[-1:])
        position = self.position.expand(len(fine), -1, -1)
        return torch.cat([fine, coarse, position], dim=-1).half()  # (n, K, Dv)


def _width(network: EfficientNetLite, config: EfficientNetConfig) -> int:
    deep = network.head_width if config.deep == "head" else network.last_width
    return 4 * network.mid_width + deep + config.position_width


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

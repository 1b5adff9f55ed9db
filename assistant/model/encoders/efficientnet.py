"""EfficientNet-Lite as a frozen feature extractor (module names are the checkpoint's).

Source: tensorflow/tpu, ``efficientnet/lite``: EfficientNet without squeeze-and-excitation, with
ReLU6, the stem, head, first and last stage never scaled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval


@dataclass(frozen=True)
class Stage:
    """``repeats`` inverted-residual blocks."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    width: int


STAGES = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)
STEM_WIDTH, HEAD_WIDTH, CLASSES = 32, 1280, 1000
MID_STAGE = 4  # the last stage with stride 16
VARIANTS: Mapping[str, tuple[float, float]] = {  # name: (width, depth) multiplier
    "efficientnet-lite0": (1.0, 1.0),
    "efficientnet-lite1": (1.0, 1.1),
    "efficientnet-lite2": (1.1, 1.2),
}


def scaled_width(width: int, factor: float) -> int:
    """``width * factor`` rounded to a multiple of 8, never more than 10 % down."""
    wide = max(8, int(width * factor + 4) // 8 * 8)
    return wide if wide >= 0.9 * width * factor else wide + 8


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's "SAME" padding (uneven sides go to the right and bottom)."""

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        sides = zip(x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=True)
        for side, kernel, stride in sides:
            total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        if pads[0] == pads[1] and pads[2] == pads[3]:
            return F.conv2d(
                x, self.weight, self.bias, self.stride, (pads[2], pads[0]), 1, self.groups
            )
        return F.conv2d(F.pad(x, pads), self.weight, self.bias, self.stride, 0, 1, self.groups)


def norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3)


class InvertedResidual(nn.Module):
    """Expand (1x1), depthwise, project (1x1)."""

    def __init__(self, width_in: int, stage: Stage, stride: int, width_out: int) -> None:
        super().__init__()
        inner = width_in * stage.expand
        self.residual = stride == 1 and width_in == width_out
        if stage.expand != 1:
            self._expand_conv = SameConv2d(width_in, inner, 1, bias=False)
            self._bn0 = norm(inner)
        self._depthwise_conv = SameConv2d(
            inner, inner, stage.kernel, stride, groups=inner, bias=False
        )
        self._bn1 = norm(inner)
        self._project_conv = SameConv2d(inner, width_out, 1, bias=False)
        self._bn2 = norm(width_out)
        self.expands = stage.expand != 1

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = F.relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.residual else y

    def fuse(self) -> None:
        """Fold the norms into the convolutions."""
        pairs = [("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
        if self.expands:
            pairs.insert(0, ("_expand_conv", "_bn0"))
        for conv, bn in pairs:
            setattr(self, conv, fuse_conv_bn_eval(getattr(self, conv), getattr(self, bn)))
            setattr(self, bn, nn.Identity())


class EfficientNetLite(nn.Module):
    """ImageNet classifier whose feature maps are read on the way.

    Input ``(N, 3, S, S)`` scaled by :meth:`normalise`; S a multiple of 32.
    """

    def __init__(self, variant: str = "efficientnet-lite0") -> None:
        super().__init__()
        wide, deep = VARIANTS[variant]
        self._conv_stem = SameConv2d(3, STEM_WIDTH, 3, 2, bias=False)
        self._bn0 = norm(STEM_WIDTH)
        blocks: list[nn.Module] = []
        ends: list[int] = []
        width_in = STEM_WIDTH
        for index, stage in enumerate(STAGES):
            edge = index in (0, len(STAGES) - 1)
            repeats = stage.repeats if edge else math.ceil(stage.repeats * deep)
            width = scaled_width(stage.width, wide)
            for step in range(repeats):
                blocks.append(
                    InvertedResidual(width_in, stage, stage.stride if step == 0 else 1, width)
                )
                width_in = width
            ends.append(len(blocks) - 1)
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = SameConv2d(width_in, HEAD_WIDTH, 1, bias=False)
        self._bn1 = norm(HEAD_WIDTH)
        self._fc = nn.Linear(HEAD_WIDTH, CLASSES)
        self.mid_block = ends[MID_STAGE]
        self.mid_width = scaled_width(STAGES[MID_STAGE].width, wide)
        self.last_width = width_in
        self.head_width = HEAD_WIDTH

    @staticmethod
    def normalise(pixels: Tensor) -> Tensor:
        """``(N, 3, H, W)`` in 0..255 to the range the checkpoint was trained on."""
        return (pixels - 127.0) / 128.0

    def features(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """``(N, 3, S, S)`` -> maps ``(N, Cm, S/16, S/16)`` (middle) and ``(N, Cl, S/32, S/32)``."""
        x = F.relu6(self._bn0(self._conv_stem(x)))
        mid = x
        for index, block in enumerate(self._blocks):
            x = block(x)
            if index == self.mid_block:
                mid = x
        return mid, x

    def head(self, last: Tensor) -> Tensor:
        """Last map -> the classifier's features ``(N, 1280, S/32, S/32)``."""
        return F.relu6(self._bn1(self._conv_head(last)))

    def classify(self, head: Tensor) -> Tensor:
        """Classifier's features -> ImageNet-1k logits ``(N, 1000)``."""
        return self._fc(head.mean((2, 3)))

    def fuse(self) -> EfficientNetLite:
        """Fold every norm into its convolution (inference only)."""
        self.eval()
        self._conv_stem = fuse_conv_bn_eval(self._conv_stem, self._bn0)
        self._bn0 = nn.Identity()
        self._conv_head = fuse_conv_bn_eval(self._conv_head, self._bn1)
        self._bn1 = nn.Identity()
        for block in self._blocks:
            block.fuse()
        return self


def load_checkpoint(variant: str, path: Path) -> EfficientNetLite:
    """Build ``variant`` with the weights at ``path``; every key must fit."""
    model = EfficientNetLite(variant)
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True), strict=True)
    return model.fuse()

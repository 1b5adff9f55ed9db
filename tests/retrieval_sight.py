"""What looks, tiny: a real image encoder with random weights, and a space that tells colors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from assistant.core.config import EfficientNetConfig
from assistant.model.encoders.base import FrameFeatures
from assistant.model.encoders.cnn import EfficientNetEncoder
from assistant.model.encoders.efficientnet import EfficientNetLite
from assistant.model.sight import Sight
from assistant.model.space.base import JointSpace

COLORS = {"red": (220, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 220)}
WIDTH = 8
RULES = """\
space: colors-1
phrase: {threshold: 8.5, spread: 0.5, sure: 9.0}
text: {threshold: 0.7, spread: 0.1, sure: 0.8}
kind: {threshold: 0.3, spread: 0.2, sure: 0.5}
"""  # of when something appears, beside the space's weights


class ColorEncoder(EfficientNetEncoder):
    """Its patches tell the color: those of random weights are nearly alike."""

    patch_count = 4

    def encode(self, pictures: Tensor) -> FrameFeatures:
        patches = torch.zeros(len(pictures), 4, WIDTH)
        patches[..., :3] = pictures.float().mean((2, 3))[:, None] / 255
        classes = F.one_hot(patches[:, 0, :3].argmax(1), self.class_count).float()
        return FrameFeatures(patches.half(), classes)


class ColorSpace(JointSpace):
    """Pictures by their mean color, texts by the colors that they name."""

    width, scale = WIDTH, 10.0

    def __init__(self, version: str = "colors-1") -> None:
        self.version = version

    @property
    def fingerprint(self) -> str:
        return self.version

    def embed_frames(self, look):
        return F.normalize(look.patches.float().mean(1), dim=-1)

    def embed_texts(self, texts):
        found = torch.full((len(texts), WIDTH), 0.01)
        for row, text in zip(found, texts, strict=True):
            for place, name in enumerate(COLORS):
                row[place] += text.lower().split().count(name)
        found[:, 3] += 0.5  # as in trained spaces, texts are nearer to texts than to pictures
        return F.normalize(found, dim=-1)

    def embed_words(self, texts):
        rows = [self.embed_texts(text.split()) for text in texts]
        there = pad_sequence([torch.ones(len(row), dtype=torch.bool) for row in rows], True)
        return pad_sequence(rows, True), there


class TinySight(Sight):
    """An assistant, too: what looks is all that an index wants of one."""

    def __init__(self, space: JointSpace) -> None:
        torch.manual_seed(0)
        self.encoder = ColorEncoder(EfficientNetLite().fuse(), EfficientNetConfig(size=32)).eval()
        self.encoder.width = WIDTH
        self.encoder.names = (*COLORS, *(f"thing {n}" for n in range(self.encoder.class_count - 3)))
        self.space = space

    @property
    def sight(self) -> TinySight:
        return self


def tiny_sight(version: str = "colors-1") -> TinySight:
    return TinySight(ColorSpace(version))

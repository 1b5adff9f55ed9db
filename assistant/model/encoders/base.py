"""What every frozen image encoder is to the rest: frames in, features of each frame out."""

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from assistant.model.memory import in_chunks

CHUNK = 16  # frames encoded at once: bounds the memory of long clips


@dataclass(frozen=True, eq=False)
class FrameFeatures:
    """What the encoder saw in T frames."""

    patches: Tensor  # (T, K, Dv), fp16; fp32 of a ViT that computes in fp32
    classes: Tensor  # (T, C) fp32, probabilities of the encoder's own classes


class Encoder(nn.Module, ABC):
    """A frozen image encoder. Frames are made square, whole, and encoded some at a time; fewer
    where memory ends."""

    config: Any  # of its kind, see `assistant.core.config.EncoderConfig`
    names: tuple[str, ...] = ()  # of its classes; () of an encoder that is no classifier
    width: int  # Dv
    chunk = CHUNK

    @classmethod
    @abstractmethod
    def load(cls, config: Any, folder: Path, dtype: torch.dtype) -> Self:
        """The encoder of ``config`` with its weights in ``folder``. Raises WeightsError."""

    @staticmethod
    @abstractmethod
    def width_of(config: Any) -> int:
        """Dv of an encoder of ``config``; its weights are not needed."""

    @property
    @abstractmethod
    def patch_count(self) -> int:
        """K, the features of one frame."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """All that decides the features of a picture."""

    @property
    def class_count(self) -> int:
        """C, the classes that it tells apart; 0: none."""
        return 0

    @abstractmethod
    def encode(self, pictures: Tensor) -> FrameFeatures:
        """Of square uint8 pictures ``(n <= chunk, 3, S, S)``."""

    @torch.inference_mode()
    def forward(self, frames: np.ndarray) -> FrameFeatures:
        """``frames`` ``(T, H, W, 3)`` uint8 RGB of any size -> :class:`FrameFeatures`."""
        parts, self.chunk = in_chunks(
            lambda some: self.encode(self.squares(some)), frames, self.chunk, "frame"
        )
        return FrameFeatures(
            torch.cat([part.patches for part in parts]), torch.cat([part.classes for part in parts])
        )

    def squares(self, frames: np.ndarray) -> Tensor:
        """Uint8 pictures ``(n, 3, S, S)``; the whole frame, never a crop."""
        square = (self.config.size, self.config.size)
        pictures = [
            np.asarray(Image.fromarray(frame).resize(square, Image.Resampling.BICUBIC))
            for frame in frames
        ]
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


@torch.no_grad()
def weights_digest(module: nn.Module) -> str:
    """16 hex digits that change with any weight, and not with the precision it is stored in."""
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        total.update(name.encode())
        total.update(value.detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
    return total.hexdigest()[:16]

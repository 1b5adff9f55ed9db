"""InstructBLIP's frozen image encoder (EVA ViT): frames to patch features.

It takes the place of :class:`assistant.model.encoders.cnn.ImageEncoder`. It is no classifier:
there are no ImageNet classes, and so no attributes.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from transformers import InstructBlipVisionModel

from assistant.core.config import ViTConfig
from assistant.errors import ModelError
from assistant.model.encoders.cnn import CHUNK, FrameFeatures

__all__ = ["ViTEncoder"]


class ViTEncoder(nn.Module):
    """K = (size / patch)^2 + 1 features of a frame: one of the whole picture, then its patches."""

    names: tuple[str, ...] = ()  # of the classes: it has none

    def __init__(
        self, network: InstructBlipVisionModel, config: ViTConfig, source: str, chunk: int = CHUNK
    ) -> None:
        """
        Args:
            source: tells these weights from any other, for cached features.
            chunk: frames encoded at once; halved where they do not fit into the GPU.
        """
        super().__init__()
        self.network = network
        self.config, self.source, self.chunk = config, source, chunk
        self.width = config.width
        self.register_buffer("mean", torch.tensor(config.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(config.std)[:, None, None], persistent=False)
        self.requires_grad_(False).eval()

    @property
    def patch_count(self) -> int:
        """K, the features of one frame."""
        return (self.config.size // self.config.patch) ** 2 + 1

    @property
    def class_count(self) -> int:
        """It tells none apart."""
        return 0

    @property
    def fingerprint(self) -> str:
        """All that decides the features of a picture."""
        weight = self.network.encoder.layers[0].self_attn.qkv.weight
        return f"{self.source}-{self.config.size}-{self._dtype}-{weight.dtype}"

    @torch.inference_mode()
    def forward(self, frames: np.ndarray) -> FrameFeatures:
        """``frames`` ``(T, H, W, 3)`` uint8 RGB of any size -> patches ``(T, K, Dv)``, no classes.

        Patches are fp16; fp32 where the encoder computes in fp32.
        """
        parts: list[Tensor] = []
        done = 0
        while done < len(frames):
            try:
                parts.append(self._encode(frames[done : done + self.chunk]))
            except torch.OutOfMemoryError as error:
                torch.cuda.empty_cache()
                if self.chunk == 1:
                    raise ModelError(
                        "one frame is too many for the GPU's free memory; close what else uses it"
                    ) from error
                self.chunk //= 2
                continue
            done += len(parts[-1])
        return FrameFeatures(torch.cat(parts), torch.zeros(len(frames), 0))

    @property
    def _dtype(self) -> torch.dtype:
        """What it computes in; weights may be quantized."""
        return self.network.embeddings.patch_embedding.weight.dtype

    def _encode(self, frames: np.ndarray) -> Tensor:
        states = self.network(self.pixels(frames).to(self._dtype)).last_hidden_state  # (n, K, Dv)
        return states if self._dtype == torch.float32 else states.half()

    def pixels(self, frames: np.ndarray) -> Tensor:
        """Normalised square pictures ``(n, 3, S, S)`` fp32; the whole frame, never a crop.

        As ``transformers``' BlipImageProcessor, which needs torchvision.
        """
        square = (self.config.size, self.config.size)
        pictures = [
            np.asarray(Image.fromarray(frame).resize(square, Image.Resampling.BICUBIC))
            for frame in frames
        ]
        raw = torch.from_numpy(np.stack(pictures)).to(self.mean.device).permute(0, 3, 1, 2)
        return (raw.float() / 255.0 - self.mean) / self.std

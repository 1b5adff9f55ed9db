"""InstructBLIP's image encoder (EVA ViT), alone or in a whole checkpoint: frames to patch features.

It is no classifier: there are no classes, and so no attributes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import InstructBlipVisionModel
from transformers.utils.logging import disable_progress_bar

from assistant.core.config import ViTConfig
from assistant.core.shortage import pass_on_memory
from assistant.errors import WeightsError
from assistant.model.encoders.base import Encoder, FrameFeatures, weights_digest

HUB_NAMES = {"hidden_size": "width", "num_hidden_layers": "layers", "image_size": "size"}
HUB_NAMES["patch_size"] = "patch"


class ViTEncoder(Encoder):
    """K = (size / patch)^2 + 1 features of a frame: one of the whole picture, then its patches."""

    def __init__(self, network: InstructBlipVisionModel, config: ViTConfig, source: str) -> None:
        """
        Args:
            source: tells these weights from any other, for cached features.
        """
        super().__init__()
        self.network = network
        self.config, self.source = config, source
        self.width = config.width
        self.register_buffer("mean", torch.tensor(config.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(config.std)[:, None, None], persistent=False)
        self.requires_grad_(False).eval()

    @classmethod
    def load(cls, config: ViTConfig, folder: Path, dtype: torch.dtype) -> ViTEncoder:
        """From ``folder`` as ``InstructBlipVisionModel.save_pretrained`` writes it."""
        disable_progress_bar()
        try:
            network, found = InstructBlipVisionModel.from_pretrained(
                folder, dtype=dtype, local_files_only=True, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            pass_on_memory(error)
            told = str(error).partition("\n")[0][:120]
            raise WeightsError(f"{folder}: holds no InstructBLIP image encoder ({told})") from error
        wrong = sorted(map(str, [*found["missing_keys"], *found["unexpected_keys"]]))
        if wrong:
            raise WeightsError(
                f"{folder}: lacks {wrong[0]}, or has no place for it; give the image encoder of an "
                "InstructBLIP checkpoint, as InstructBlipVisionModel.save_pretrained writes it"
            )
        for theirs, ours in HUB_NAMES.items():
            there, said = getattr(network.config, theirs), getattr(config, ours)
            if there != said:
                raise WeightsError(
                    f"{folder}: has {theirs} {there}, the config says {ours} {said}; change that"
                )
        return cls(network, config, f"vit-{weights_digest(network)}")

    @staticmethod
    def width_of(config: ViTConfig) -> int:
        return config.width

    @property
    def patch_count(self) -> int:
        return (self.config.size // self.config.patch) ** 2 + 1

    @property
    def fingerprint(self) -> str:
        weight = self.network.encoder.layers[0].self_attn.qkv.weight
        return f"{self.source}-{self.config.size}-{self._dtype}-{weight.dtype}"

    @property
    def _dtype(self) -> torch.dtype:
        """What it computes in; weights may be quantized."""
        return self.network.embeddings.patch_embedding.weight.dtype

    def encode(self, pictures: Tensor) -> FrameFeatures:
        pixels = self.normalise(pictures).to(self._dtype)
        states = self.network(pixels).last_hidden_state  # (n, K, Dv)
        patches = states if self._dtype == torch.float32 else states.half()
        return FrameFeatures(patches, torch.zeros(len(patches), 0))

    def normalise(self, pictures: Tensor) -> Tensor:
        """As ``transformers``' BlipImageProcessor, which needs torchvision."""
        return (pictures.to(self.mean.device).float() / 255.0 - self.mean) / self.std

    def pixels(self, frames: np.ndarray) -> Tensor:
        """What the network gets of frames, fp32 ``(n, 3, S, S)``."""
        return self.normalise(self.squares(frames))

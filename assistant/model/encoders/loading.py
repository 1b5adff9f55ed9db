"""The image encoder that a config names. Nothing here imports `transformers`, which takes seconds:
an encoder that needs it does."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from assistant.core.config import ModelConfig
from assistant.weights import store as weights_store

if TYPE_CHECKING:
    import torch

    from assistant.model.encoders.base import Encoder

ENCODERS: Mapping[str, tuple[str, str]] = {  # by the config's kind: module and class
    "efficientnet": ("cnn", "EfficientNetEncoder"),
    "vit": ("vit", "ViTEncoder"),
}


def encoder_class(kind: str) -> type[Encoder]:
    """The encoder of the config's ``kind``."""
    module, name = ENCODERS[kind]
    return getattr(import_module(f"assistant.model.encoders.{module}"), name)


def load_encoder(config: ModelConfig, dtype: torch.dtype) -> Encoder:
    """The frozen image encoder alone, of the config's kind."""
    encoder = config.encoder
    folder = weights_store.ensure_source(encoder.weights)
    return encoder_class(encoder.kind).load(encoder, folder, dtype)

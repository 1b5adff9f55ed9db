"""The image encoder that a config names. Nothing here imports `transformers`, which takes seconds:
an encoder that needs it does."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.config import ModelConfig
from assistant.errors import InputError
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
    return encoder_class(encoder.kind).load(encoder, weights_folder(encoder.weights), dtype)


def weights_folder(source: str, prepare: weights_store.Prepare | None = None) -> Path:
    """Where the weights named in the lock lie, or those of a hub id ("owner/name"); or ``source``
    itself, a path with a slash in it.

    Raises:
        WeightsError: they cannot be fetched. InputError: no source is named.
    """
    if not source:
        raise InputError("the config names no weights; give a folder or a hub id (owner/name)")
    if "/" in source:
        folder = Path(source).expanduser()
        return folder if folder.is_dir() else weights_store.ensure_hub(source)
    return weights_store.ensure(source, prepare=prepare)

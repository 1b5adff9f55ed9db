"""The folder of an object head: ``objects.yaml`` and ``objects.safetensors``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import yaml
from torch import Tensor

from assistant.core.config import from_yaml
from assistant.errors import ConfigError, WeightsError
from assistant.model.objects.config import ObjectsConfig, StoredConfig
from assistant.model.objects.network import ObjectNet
from assistant.model.weight_files import read_weights, save_weights

CONFIG, WEIGHTS = "objects.yaml", "objects.safetensors"


def save_objects(folder: Path, stored: StoredConfig, weights: Mapping[str, Tensor]) -> None:
    """Write both files."""
    text = yaml.safe_dump(asdict(stored), sort_keys=False, default_flow_style=None)
    (folder / CONFIG).write_text(text)
    save_weights(weights, folder / WEIGHTS)


def load_objects(folder: Path) -> tuple[ObjectNet, StoredConfig]:
    """The head in eval mode, fp32.

    Raises:
        ConfigError, WeightsError: a file is missing, damaged or of another shape.
    """
    stored = from_yaml(StoredConfig, folder / CONFIG)
    net = ObjectNet(stored.model)
    weights = {name: value.float() for name, value in read_weights(folder / WEIGHTS).items()}
    own = {name: value.shape for name, value in net.state_dict().items()}
    if own != {name: value.shape for name, value in weights.items()}:
        raise WeightsError(
            f"{folder / WEIGHTS}: is of another shape than {CONFIG} says; get the folder again"
        )
    net.load_state_dict(weights)
    return net.requires_grad_(False).eval(), stored


def is_for(config: ObjectsConfig, encoder: str) -> bool:
    """Whether the head reads features of the encoder with this fingerprint, in any precision."""
    return encoder.rpartition("-")[0] == config.encoder


def check_encoder(config: ObjectsConfig, encoder: str) -> None:
    """Raises ConfigError: the head is for another encoder than the one with this fingerprint."""
    if not is_for(config, encoder):
        raise ConfigError(f"encoder is {encoder}, and the objects are for {config.encoder}")

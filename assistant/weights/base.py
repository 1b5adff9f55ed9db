"""A backend's own base weights as files: what must be there, and what they are called."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from assistant.core.config import ModelConfig, from_yaml
from assistant.core.resources import adapters_dir
from assistant.errors import InputError, WeightsError
from assistant.weights.presets import is_shipped, model_name

BASE_CONFIG, BASE_WEIGHTS = "model.yaml", "qformer.safetensors"
READING_CONFIG, READING_WEIGHTS = "reading.yaml", "reading.safetensors"  # of the language model


@dataclass(frozen=True)
class Base:
    """A folder with both files."""

    folder: Path
    config: ModelConfig

    @property
    def weights(self) -> Path:
        return self.folder / BASE_WEIGHTS

    @cached_property
    def fingerprint(self) -> str:
        """The model's name, and a hash of its weights: what an adapter was made for."""
        return f"{self.config.name}-{hashlib.sha256(self.weights.read_bytes()).hexdigest()[:16]}"


def find_base(model: str, folder: Path | None = None) -> Base | None:
    """The base weights of a shipped ``model``, or those in ``folder``; None: a paper-scale model.

    Raises:
        InputError: ``folder`` is none of base weights, or belongs to another model.
        ConfigError: its config is not usable. WeightsError: its weights are missing.
    """
    if folder is None:
        if not is_shipped(model):
            return None
        folder = adapters_dir() / model / "base"
    elif not (folder / BASE_CONFIG).is_file():
        inside = folder / "base"
        hint = inside if (inside / BASE_CONFIG).is_file() else "the base/ folder of a pretrain run"
        raise InputError(f"{folder}: holds no {BASE_CONFIG}; give {hint}")
    base = Base(folder, from_yaml(ModelConfig, folder / BASE_CONFIG))
    if not is_shipped(model) and model != base.config.name:
        raise InputError(
            f"model {model!r} has its own weights, and base {folder} is {base.config.name!r}; "
            "leave one of them out"
        )
    if not base.weights.is_file():
        raise WeightsError(f"{base.weights}: is not there; give the whole folder")
    return base


def name_of(model: str, folder: Path | None = None) -> str:
    """The name under which the adapters of a model lie: that of its base weights.

    Raises:
        InputError, ConfigError, WeightsError: as `find_base`.
    """
    base = find_base(model, folder)
    return model_name(model) if base is None else base.config.name

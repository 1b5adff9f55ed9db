"""A backend's own base weights as files: what must be there, and what they are called."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from assistant.core.config import LoraSettings, ModelConfig, from_yaml
from assistant.core.resources import adapters_dir
from assistant.errors import InputError, WeightsError
from assistant.weights.presets import is_shipped, model_name

BASE_CONFIG, BASE_WEIGHTS = "model.yaml", "qformer.safetensors"
# LoRA on the language model, which reads notes by it; in a folder beside the base's.
READING, READING_CONFIG, READING_WEIGHTS = "reading", "reading.yaml", "reading.safetensors"


@dataclass(frozen=True)
class Reading:
    """What taught the language model to read."""

    base: str  # fingerprint of the base that it was trained on
    reads: tuple[str, ...]  # sources
    lora: LoraSettings


@dataclass(frozen=True)
class Base:
    """A folder with both files."""

    folder: Path
    config: ModelConfig

    @property
    def weights(self) -> Path:
        return self.folder / BASE_WEIGHTS

    @property
    def reading(self) -> tuple[Reading, Path] | None:
        """How its language model was tuned, and by which weights; None: it was not.

        Raises:
            ConfigError: that cannot be read. WeightsError: it was done on another base.
        """
        folder = self.folder.parent / READING
        if not (folder / READING_CONFIG).is_file():
            return None
        found = from_yaml(Reading, folder / READING_CONFIG)
        if found.base != self.fingerprint:
            raise WeightsError(
                f"{folder}: belongs to base {found.base}, and this one is {self.fingerprint}; "
                "make it again with `assistant pretrain reading`, or move it away"
            )
        return found, folder / READING_WEIGHTS

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

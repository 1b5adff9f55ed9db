"""Paper-scale models by name: where they come from, on which terms, how large they are.

The data are in ``presets.yaml``. A model is named by a preset, a hub id (``owner/name``) or a
folder that holds such a checkpoint; its adapters lie under a short name, the same for all three.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from assistant.core.config import LLMConfig, from_yaml
from assistant.core.files import first_time
from assistant.core.resources import adapters_dir, presets_file, user_dir
from assistant.errors import InputError

TERMS_SHOWN = "terms-shown"  # in the user's folder: names of models whose terms were told


@dataclass(frozen=True)
class LLMShape:
    """Size of a language model: Llama, or T5 with as many decoder as encoder layers."""

    kind: str  # "llama" or "t5"
    vocabulary: int
    width: int
    layers: int
    heads: int
    head_width: int
    feed_forward: int


@dataclass(frozen=True)
class Preset:
    """One named model."""

    hub: str  # id
    licence: str  # a few words
    terms: str  # what one should know before the first use
    llm: LLMShape


@dataclass(frozen=True)
class Reader:
    """A language model that answers from what mini perceives (``--llm``)."""

    hub: str  # id
    licence: str
    parameters: int


@dataclass(frozen=True)
class Presets:
    """Every named model, and how a turn is written for each type of language model."""

    families: dict[str, LLMConfig]
    presets: dict[str, Preset]
    recommended: dict[str, tuple[str, ...]]  # presets, the best first, by device
    readers: tuple[Reader, ...]  # the best first
    server_ports: tuple[int, ...]  # where OpenAI-compatible servers listen


@lru_cache(maxsize=1)
def read_presets() -> Presets:
    """What ``presets.yaml`` says. Raises ConfigError where it is not usable."""
    return from_yaml(Presets, presets_file())


def is_shipped(model: str) -> bool:
    """Whether ``model`` names a backend whose base weights are shipped, like mini."""
    return Path(model).name == model and (adapters_dir() / model / "base").is_dir()


def model_name(model: str) -> str:
    """The short name under which a model's adapters lie."""
    if is_shipped(model):
        return model
    for name, preset in read_presets().presets.items():
        if model in (name, preset.hub):
            return name
    path = Path(model).expanduser()
    if path.is_dir():
        path = path.resolve()
        if path.parent.name == "snapshots":  # the hub library's cache: .../models--owner--name
            return path.parents[1].name.rpartition("--")[2]
    return path.name


def preset_of(model: str) -> Preset | None:
    """The preset that ``model`` (a name, a hub id, or a folder called like one) stands for."""
    return read_presets().presets.get(model_name(model))


def source_of(model: str) -> Path | str:
    """The folder of a paper-scale model's checkpoint, or the hub id to fetch it by.

    Raises:
        InputError: ``model`` is no preset, no hub id and no folder.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        return path
    preset = preset_of(model)
    source = preset.hub if preset is not None and model == model_name(model) else model
    owner, _, rest = source.partition("/")
    if not owner.strip(".~") or not rest or "/" in rest:
        known = ", ".join(("mini", *read_presets().presets))
        what = "there is no such folder" if "/" in model else "is unknown"
        raise InputError(
            f"model {model!r}: {what}; known are {known}, or give a hub id (owner/name) or the "
            "folder of an InstructBLIP checkpoint"
        )
    return source


def terms_once(model: str) -> str | None:
    """Licence and terms of a preset, the first time it is used here; after that None."""
    name, preset = model_name(model), preset_of(model)
    if preset is None or is_shipped(model):
        return None
    if not first_time(user_dir() / TERMS_SHOWN, name):
        return None
    return f"{name}, licence: {preset.licence} ({preset.terms})"

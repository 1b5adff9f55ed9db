"""The folder of a trained head of events."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from assistant.core.config import from_yaml
from assistant.errors import InputError, WeightsError
from assistant.model.weight_files import read_weights
from assistant.timeline.events import EventHead, check_labels

if TYPE_CHECKING:
    from assistant.model.space.base import JointSpace

CONFIG, WEIGHTS = "events.yaml", "events.safetensors"


@dataclass(frozen=True)
class EventHeadConfig:
    """What a head is, and what it was made from."""

    space: str  # fingerprint of the joint space that it was trained on
    labels: tuple[str, ...]
    several: bool = False  # whether labels may be true at once
    data: str = ""  # sha256 of the labelled clips
    segments: int = 0  # that it learned from
    epoch: int = 0
    seed: int = 0
    date: str = ""
    figures: dict[str, float] = field(default_factory=dict)  # on dev
    bare: dict[str, float] = field(default_factory=dict)  # the same of the labels' texts alone


def read_head_config(folder: Path) -> EventHeadConfig:
    """
    Raises:
        InputError: ``folder`` holds no head of events. ConfigError: its config cannot be used.
    """
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise InputError(
                f"head {folder}: holds no {name}; give a folder that assistant finetune events "
                "wrote"
            )
    config = from_yaml(EventHeadConfig, folder / CONFIG)
    check_labels(config.labels, str(folder / CONFIG))
    return config


def load_head(folder: Path, space: JointSpace) -> EventHead:
    """
    Raises:
        InputError: there is no such head, or it was trained on another joint space.
        ConfigError, WeightsError: its config or its weights cannot be used.
    """
    config = read_head_config(folder)
    if config.space != space.fingerprint:
        raise InputError(
            f"head {folder} was trained on the joint space {config.space}, and this one is "
            f"{space.fingerprint}; name that space with --space, or another head with --head"
        )
    state = read_weights(folder / WEIGHTS)
    wanted = {"weights": (len(config.labels), space.width), "bias": (len(config.labels),)}
    if {name: tuple(value.shape) for name, value in state.items()} != wanted:
        raise WeightsError(
            f"{folder / WEIGHTS}: does not fit {CONFIG} beside it; give a whole folder"
        )
    weights, bias = state["weights"].float(), state["bias"].float()
    return EventHead(config.labels, weights, bias, several=config.several)

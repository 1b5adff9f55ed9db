"""The recipe of an object head."""

from __future__ import annotations

from dataclasses import dataclass, field

from assistant.core.bounds import check_bounds, check_optimizer
from assistant.core.config import EfficientNetConfig, ViTConfig
from assistant.model.objects.config import ObjectsConfig


@dataclass(frozen=True)
class ObjectsRecipe:
    """Everything that the weights depend on, beside the data."""

    encoder: EfficientNetConfig | ViTConfig
    model: ObjectsConfig
    epochs: int = 8
    batch: int = 64
    lr: float = 0.002
    box_weight: float = 2.0  # of the losses, beside that of centers
    count_weight: float = 1.0
    color_weight: float = 0.5
    asked_weight: float = 3.0  # of a color that a question asks for, beside a caption's
    seed: int = 7
    weight_decay: float = 0.05
    betas: tuple[float, ...] = field(default=(0.9, 0.98))
    average: float = 0.998  # decay of the weights' running average, which is what is kept
    precision: float = 0.85  # least share that is right of what is named, on dev

    def __post_init__(self) -> None:
        check_bounds(self, epochs=(1, 10**4), batch=(1, 4096), lr=(0, 10), seed=(0, 2**32 - 1))
        check_bounds(self, box_weight=(0, 1e3), count_weight=(0, 1e3), color_weight=(0, 1e3))
        check_bounds(self, asked_weight=(0, 1e3), average=(0, 1), precision=(0, 1))
        check_optimizer(self.betas, self.weight_decay)

"""What an object head is: its shape, the classes and colors it knows, and when it names them."""

from __future__ import annotations

from dataclasses import dataclass, field

from assistant.core.bounds import check_bounds
from assistant.errors import ConfigError


@dataclass(frozen=True)
class ObjectsConfig:
    """Shape and vocabulary.

    The words of a class are its plural and what else it is called; those of a color are what else
    that is called.
    """

    encoder: str  # fingerprint of the image encoder, without its precision
    classes: dict[str, tuple[str, ...]]
    colors: dict[str, tuple[str, ...]]
    parts: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by class, what has its color
    fine: int = 112  # Cm of `assistant.model.encoders.cnn`
    deep: int = 1296  # the rest of a patch
    side: int = 7  # patches in a row
    width: int = 128
    blocks: int = 4
    hidden: int = 256  # of counting
    color_hidden: int = 64
    levels: int = 8  # numbers that are told apart: 1 or more, ... levels or more
    dropout: float = 0.1

    def __post_init__(self) -> None:
        check_bounds(self, fine=(1, 4096), deep=(1, 16384), side=(1, 64), width=(1, 4096))
        check_bounds(self, blocks=(0, 64), hidden=(1, 16384), color_hidden=(1, 4096))
        check_bounds(self, levels=(1, 64), dropout=(0, 1))
        for what in ("classes", "colors"):
            if not getattr(self, what):
                raise ConfigError(f"{what} is empty; name one at least")
        if bare := [name for name, words in self.classes.items() if not words]:
            raise ConfigError(f"classes: {bare[0]} has no plural; give it as its first word")


@dataclass(frozen=True)
class NamingConfig:
    """From which probability on something is named; chosen on dev (`assistant pretrain objects`).
    A class that is not in a mapping is never named."""

    present: dict[str, float] = field(default_factory=dict)  # by class, of being there at all
    boxes: dict[str, float] = field(default_factory=dict)  # by class, of a single box
    color: float = 0.5

    def __post_init__(self) -> None:
        check_bounds(self, present=(0, 1), boxes=(0, 1), color=(0, 1))


@dataclass(frozen=True)
class StoredConfig:
    """``objects.yaml`` of a weights folder."""

    model: ObjectsConfig
    naming: NamingConfig

"""The recipe of a joint space."""

from dataclasses import dataclass, field

from assistant.core.bounds import check_bounds, check_optimizer
from assistant.core.config import EfficientNetConfig, SpaceConfig
from assistant.errors import ConfigError


@dataclass(frozen=True)
class PhotoSetConfig:
    """Photos of one folder, and what is said of them."""

    share: float  # of a batch
    captions: tuple[str, ...] = ()  # files of "name#k<TAB>caption" lines
    labels: str = ""  # file of "name<TAB>label" lines, instead of captions
    templates: tuple[str, ...] = ("a photo of a {}", "{}")  # of sentences about a label

    def __post_init__(self) -> None:
        check_bounds(self, share=(0, 1))
        if bool(self.captions) == bool(self.labels):
            raise ConfigError("a set of photos has captions or labels; name one of both")
        if wrong := [template for template in self.templates if "{}" not in template]:
            raise ConfigError(f"templates: {wrong[0]!r} has no {{}} for the label")


@dataclass(frozen=True)
class SpaceTrainingConfig:
    """Everything that the weights depend on, beside the photos."""

    sets: dict[str, PhotoSetConfig]  # by folder
    encoder: EfficientNetConfig = field(default_factory=EfficientNetConfig)
    space: SpaceConfig = field(default_factory=SpaceConfig)
    steps: int = 200
    batch: int = 192
    lr: float = 1e-3
    seed: int = 7
    weight_decay: float = 0.05
    betas: tuple[float, ...] = (0.9, 0.98)
    average: float = 0.98  # decay of the weights' running average, which is what is kept
    smoothing: float = 0.05  # share of the targets that all of a batch have alike
    alike: float = 0.2  # share of the targets that goes to texts alike, and to their pictures
    alike_temperature: float = 0.1  # of how alike, by frozen sentence vectors
    texts: int = 2  # of a photo in a batch, at most
    patches_kept: float = 0.7  # share of a picture's patches that a step shows
    words_kept: float = 0.9  # share of a text's tokens that a step shows
    dev_every: int = 50  # steps

    def __post_init__(self) -> None:
        check_bounds(self, steps=(1, 10**7), batch=(2, 4096), lr=(0, 10), seed=(0, 2**32 - 1))
        check_bounds(self, average=(0, 1), smoothing=(0, 1), texts=(1, 100))
        check_bounds(self, patches_kept=(0.01, 1), words_kept=(0.01, 1))
        check_bounds(self, dev_every=(1, 10**7))
        check_optimizer(self.betas, self.weight_decay)
        if not self.sets:
            raise ConfigError("sets: names no folder of photos")

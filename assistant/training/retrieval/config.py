"""The recipe of a fusion head."""

from dataclasses import dataclass, field

from assistant.core.bounds import check_bounds, check_optimizer
from assistant.errors import ConfigError
from assistant.retrieval.fusion import FusionConfig

NEGATIVES = ("random", "semi-hard", "hard")


@dataclass(frozen=True)
class RetrievalConfig:
    """Everything that the weights depend on, beside the data and the joint space."""

    fusion: FusionConfig = field(default_factory=FusionConfig)
    temperature: float = 0.15  # tau
    negatives: str = "random"  # those of a batch; or the hardest of them
    share: float = 0.25  # of a batch that is semi-hard or hard
    epochs: int = 10
    batch: int = 256  # events
    lr: float = 3e-4
    seed: int = 7
    weight_decay: float = 0.05
    betas: tuple[float, ...] = (0.9, 0.98)
    average: float = 0.98  # decay of the weights' running average, which is what is kept
    words_kept: float = 0.9  # share of a text's words that a step shows

    def __post_init__(self) -> None:
        check_bounds(self, temperature=(0.001, 10), share=(0.001, 1), epochs=(1, 10**6))
        check_bounds(self, batch=(2, 65536), lr=(0, 10), seed=(0, 2**32 - 1))
        check_bounds(self, average=(0, 1), words_kept=(0.01, 1))
        check_optimizer(self.betas, self.weight_decay)
        if self.negatives not in NEGATIVES:
            raise ConfigError(
                f"negatives is {self.negatives!r}; choose one of {', '.join(NEGATIVES)}"
            )

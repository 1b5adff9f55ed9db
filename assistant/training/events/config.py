"""The recipe of a head of events."""

from dataclasses import dataclass

from assistant.core.bounds import check_bounds, check_optimizer
from assistant.errors import ConfigError

LOSSES = ("align", "scene", "event")


@dataclass(frozen=True)
class EventsConfig:
    """Everything that the weights depend on, beside the data and the joint space."""

    losses: tuple[str, ...] = LOSSES  # those that are added (Cross-modal Knowledge Mining, 3.8)
    texts: bool = True  # W begins as the labels' texts; False: as zeros, where they tell nothing
    alpha: float = 0.5  # share of z_v in z_s (3.6)
    rank: int = 16  # of how far the space's vectors may turn; 0: they stay as they are
    epochs: int = 40
    batch: int = 64  # segments
    lr: float = 5e-4
    seed: int = 7
    weight_decay: float = 0.05  # towards the labels' texts
    betas: tuple[float, ...] = (0.9, 0.98)

    def __post_init__(self) -> None:
        check_bounds(self, alpha=(0, 1), rank=(0, 4096), epochs=(1, 10**6), batch=(2, 65536))
        check_bounds(self, lr=(0, 10), seed=(0, 2**32 - 1))
        check_optimizer(self.betas, self.weight_decay)
        if "event" not in self.losses or not set(self.losses) <= set(LOSSES):
            raise ConfigError(
                f"losses is {list(self.losses)}; wanted event, and some of {', '.join(LOSSES)}"
            )

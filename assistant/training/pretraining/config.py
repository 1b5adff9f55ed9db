"""The recipe of a pretraining run."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from assistant.core.bounds import check_bounds, check_optimizer
from assistant.core.config import ModelConfig
from assistant.errors import ConfigError

# The answer and the picture's words in the visual tokens; what is there, what of it is asked, and
# where it is (`assistant.training.losses.dense`), on the way up; the answer through the LLM.
LOSSES = ("slots", "contents", "binding", "places", "llm")


@dataclass(frozen=True)
class Phase:
    """One stretch of training."""

    samples: int
    batch: int
    lr: float
    mix: dict[str, float]  # kind of example: weight
    losses: dict[str, float]  # weights, of LOSSES
    focus: float = 1.0  # weight of answers that are one of few choices: they have little entropy
    parts: int = 1  # a batch goes through in so many parts, sorted by length
    silent: int = 0  # further samples of each batch, drawn by silent_mix, that skip the LLM
    silent_mix: dict[str, float] = field(default_factory=dict)
    horizon: int | None = None  # samples after which lr would be 0; None: those of the phase
    renamed: float = 0.0  # share of lists and descriptions with another name (`names`)
    dev_every: int = 1000  # steps

    RENAMED: ClassVar[dict[str, str]] = {
        "rate": "lr",
        "slots": "losses.slots",
        "dense": "losses.contents",
        "binding": "losses.binding",
        "places": "losses.places",
        "llm": "losses.llm",
    }
    RETIRED: ClassVar[dict[str, Any]] = {"warmup": 0.05, "blind": 0.06, "follow_ups": 0.1}

    def __post_init__(self) -> None:
        if unknown := [name for name in self.losses if name not in LOSSES]:
            raise ConfigError(f"losses: unknown key {unknown[0]!r}; known are {', '.join(LOSSES)}")
        check_bounds(self, samples=(1, 10**9), batch=(1, 4096), lr=(0, 10), mix=(0, 1e6))
        check_bounds(self, losses=(0, 1e6), focus=(0, 1e6), parts=(1, 4096), silent=(0, 4096))
        check_bounds(self, silent_mix=(0, 1e6), horizon=(1, 10**9), renamed=(0, 1))
        check_bounds(self, dev_every=(1, 10**9))
        for mix in [self.mix] + [self.silent_mix] * (self.silent > 0):
            if not any(mix.values()):
                raise ConfigError(f"a mix is {mix}; give some kind of example a weight")

    @property
    def steps(self) -> int:
        return self.samples // self.batch


@dataclass(frozen=True)
class PretrainConfig:
    """Everything that the weights depend on, beside the data."""

    model: ModelConfig
    phases: tuple[Phase, ...]
    prompts: tuple[str, ...]  # that ask for a description
    scenes: int = 10000
    dev_scenes: int = 300
    seed: int = 7
    weight_decay: float = 0.05
    patches_kept: float = 0.7  # share of a picture's patches that a training step shows
    attributes_kept: float = 0.5  # share of samples that name the encoder's classes
    views: bool = True  # mirrored and cropped photos
    betas: tuple[float, ...] = field(default=(0.9, 0.98))
    average: float = 0.999  # decay of the weights' running average, which is what is kept; 0: none

    RETIRED: ClassVar[dict[str, Any]] = {"scene_rounds": 3, "dropout": 0.1, "clip_norm": 1.0}

    def __post_init__(self) -> None:
        check_bounds(self, scenes=(1, 10**6), dev_scenes=(1, 10**6), seed=(0, 2**32 - 1))
        check_bounds(self, patches_kept=(0.01, 1), attributes_kept=(0, 1), average=(0, 1))
        check_optimizer(self.betas, self.weight_decay)

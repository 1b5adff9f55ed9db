"""Strict loader of an adapter's recipe (``recipe.yaml``): how it is, or was, trained.

A finished adapter's recipe also says what it was made from; without that part it is the plan that
``assistant finetune --config`` takes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from assistant.core.config import LoraSettings, TransferConfig, from_yaml
from assistant.errors import ConfigError
from assistant.sources import SOURCES

__all__ = [
    "ABLATIONS",
    "RECIPE",
    "Calibration",
    "Made",
    "PaperSettings",
    "Recipe",
    "Training",
    "load_recipe",
]

RECIPE = "recipe.yaml"
# Parts that one can train without.
ABLATIONS = ("fusion", "mqt", "dar", "lora", "contrast", *SOURCES)


@dataclass(frozen=True)
class Training:
    """How ``assistant finetune`` trains. Defaults were measured on mini."""

    epochs: int = 10
    epoch_examples: int = 0  # of an epoch; 0: all of them. Epochs go on where the last one stopped
    balance: float = 0.0  # 0: types are drawn as often as they occur; 1: all as often as another
    weights: dict[str, float] = field(default_factory=dict)  # of types, times as often; else 1
    batch: int = 32  # examples per step and process
    accumulate: int = 1  # batches per step of the optimizer
    rate: float = 2.0e-3
    betas: tuple[float, ...] = (0.9, 0.98)
    weight_decay: float = 0.05
    warmup: float = 0.05  # share of the steps
    clip_norm: float = 1.0
    slots: float = 1.0  # weight of spelling the answer in the visual tokens themselves
    repeated: bool = False  # spell it over and over, in all visual tokens; else once
    llm: float = 1.0  # weight of the LLM's cross-entropy
    choices: float = 0.0  # weight of telling, through the LLM, the right choice from the others
    motion: float = 0.0  # weight of dense supervision: what generated clips are known to show
    naming: float = 0.0  # weight of telling which of two choices that the question names is right
    silent_epochs: int = 0  # epochs, the first, that skip the LLM: much faster
    llm_rate: float = 0.3  # share of the rate, for the epochs after them
    checkpointing: bool = False  # compute the LLM's layers twice instead of keeping them in memory
    shard: bool = False  # spread the LLM's layers over the processes that train together
    only: str = ""  # what learns, by a part of its name ("reread"); all else stays as it begins
    sparse_epochs: int = 0  # epochs, the first, that look at one drawn frame of every two
    jitter: int = 1  # encoded frames per frame that is looked at; training draws one of each
    attributes_kept: float = 0.5  # share of examples that name the encoder's classes
    patience: int = 0  # epochs without a better dev figure before it stops; 0: never
    dev_share: float = 0.1  # of the training examples, where the data have no dev split
    dev_most: int = 512  # dev examples that are measured after each epoch, drawn by the seed
    seed: int = 7

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "accumulate", "dev_most", "jitter"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; give 1 or more")
        if self.epoch_examples < 0:
            raise ConfigError(f"epoch_examples is {self.epoch_examples}; give 0 (all) or more")
        if not 0 <= self.silent_epochs <= self.epochs:
            raise ConfigError(f"silent_epochs is {self.silent_epochs}; give 0 to {self.epochs}")
        if not 0 <= self.sparse_epochs <= self.epochs:
            raise ConfigError(f"sparse_epochs is {self.sparse_epochs}; give 0 to {self.epochs}")
        if not 0.0 <= self.balance <= 1.0:
            raise ConfigError(f"balance is {self.balance}; give 0 to 1")
        if not 0.0 < self.dev_share < 1.0:
            raise ConfigError(f"dev_share is {self.dev_share}; give a share between 0 and 1")
        if not self.slots and not self.llm and not self.choices:
            raise ConfigError("slots, llm and choices are 0; then there is nothing to learn from")


@dataclass(frozen=True)
class PaperSettings:
    """MTransLLAMA's own settings (section IV), kept beside ours."""

    epochs: int = 25
    batch: int = 2
    frames: int = 4  # its "window", as we read it
    rate: float = 1.0e-4
    betas: tuple[float, ...] = (0.9, 0.95)
    weight_decay: float = 0.05


@dataclass(frozen=True)
class Calibration:
    """How scores of choices become probabilities: `assistant.training.calibration` fits it."""

    temperature: float = 1.0  # log-scores are divided by it
    unsure_below: float = 0.0  # an answer with less probability is unsure; 0: none is
    examples: int = 0  # dev examples it was fitted on; 0: not fitted
    answered: float = 1.0  # share of them that is not unsure
    accuracy: float = 0.0  # of those

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ConfigError(f"temperature is {self.temperature}; give more than 0")
        if not 0 <= self.unsure_below <= 1:
            raise ConfigError(f"unsure_below is {self.unsure_below}; give a probability")


@dataclass(frozen=True)
class Made:
    """What a finished adapter was made from."""

    base: str  # fingerprint of the base weights
    data: str  # sha256 of the examples
    examples: int  # it was trained on
    epoch: int  # whose weights were kept
    figures: dict[str, float] = field(default_factory=dict)  # on the dev examples
    versions: dict[str, str] = field(default_factory=dict)
    date: str = ""
    calibration: Calibration = field(default_factory=Calibration)
    start: str = ""  # the adapter that it went on from, with a hash of its weights


@dataclass(frozen=True)
class Recipe:
    """One adapter: its task, its shape, its training."""

    task: str
    frames: int = 8  # looked at; 0: it reads text alone, as one learns from data without clips
    without: tuple[str, ...] = ()  # of ABLATIONS
    lora: LoraSettings = field(default_factory=LoraSettings)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    training: Training = field(default_factory=Training)
    paper: PaperSettings = field(default_factory=PaperSettings)
    made: Made | None = None

    def __post_init__(self) -> None:
        for part in self.without:
            if part not in ABLATIONS:
                raise ConfigError(f"without {part!r}: choose some of {', '.join(ABLATIONS)}")
        if self.frames < 0:
            raise ConfigError(f"frames is {self.frames}; give 0 (text alone) or more")
        if self.training.sparse_epochs and self.frames % 2:
            raise ConfigError(f"frames is {self.frames}; sparse_epochs wants an even number")

    @property
    def prior(self) -> float:
        """How much of the model's `choice_prior` counts: none where choices were learned."""
        return 0.0 if self.training.choices else 1.0

    @property
    def calibration(self) -> Calibration:
        """That of the finished adapter; before, none was fitted."""
        return Calibration() if self.made is None else self.made.calibration

    def save(self, folder: Path) -> Path:
        """Write ``folder/recipe.yaml``, atomically."""
        path = folder / RECIPE
        part = path.with_suffix(".part")
        part.write_text(yaml.safe_dump(_plain(asdict(self)), sort_keys=False, allow_unicode=True))
        part.replace(path)
        return path


def load_recipe(path: Path) -> Recipe:
    """The recipe at ``path``, a file or an adapter's folder.

    Raises:
        ConfigError: unreadable, an unknown or missing key, a value that cannot be.
    """
    return from_yaml(Recipe, path / RECIPE if path.is_dir() else path)


def _plain(value: object) -> object:
    """Tuples as lists, for YAML."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value

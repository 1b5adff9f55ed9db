"""Strict loader of an adapter's recipe (``recipe.yaml``): how it is, or was, trained.

A finished adapter's recipe also says what it was made from; without that part it is the plan that
``assistant finetune --config`` takes.
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import yaml

from assistant.core.bounds import check_bounds, check_optimizer
from assistant.core.config import (
    MOST_FRAMES,
    LoraSettings,
    TransferConfig,
    from_mapping,
    read_yaml,
)
from assistant.errors import ConfigError
from assistant.sources import SOURCES

RECIPE = "recipe.yaml"
# Parts that one can train without.
ABLATIONS = ("fusion", "mqt", "dar", "lora", "contrast", "video", "sound", "regression", *SOURCES)
EXTRAS = ("sound", "regression")  # parts that one can train with
RETRIEVAL_ABLATIONS = ("temporal", "attention", "pooling", "fusion")  # of a head for retrieval
EVENT_ABLATIONS = ("align", "scene", "texts")  # of a head of events
ACTION_ABLATIONS = ("ce", "text", "image", "teacher", "motion")  # of a recogniser of actions
# Weights of losses, unless a recipe says other: the answer, spelled and through the LLM.
LOSSES = {"slots": 1.0, "llm": 1.0}


@dataclass(frozen=True)
class Training:
    """How ``assistant finetune`` trains. Defaults were measured on mini."""

    epochs: int = 10
    epoch_examples: int = 0  # of an epoch; 0: all of them. Epochs go on where the last one stopped
    balance: float = 0.0  # 0: types are drawn as often as they occur; 1: all as often as another
    weights: dict[str, float] = field(default_factory=dict)  # of types, times as often; else 1
    batch: int = 32  # examples per step and process
    accumulate: int = 1  # batches per step of the optimizer
    lr: float = 2.0e-3
    start_lr: float = 1.0  # share of the learning rate, for what the run begins with by --from
    betas: tuple[float, ...] = (0.9, 0.98)
    weight_decay: float = 0.05
    losses: dict[str, float] = field(default_factory=dict)  # weights, over those of LOSSES
    repeated: bool = False  # slots: spell it over and over, in all visual tokens; else once
    silent_epochs: int = 0  # epochs, the first, that skip the LLM: much faster
    llm_lr: float = 0.3  # share of the learning rate, for the epochs after them
    checkpointing: bool = False  # compute the LLM's layers twice instead of keeping them in memory
    shard: bool = False  # spread the LLM's layers over the processes that train together
    jitter: int = 1  # encoded frames per frame that is looked at; training draws one of each
    sources_kept: float = 0.5  # share of examples that read what a source says, each by itself
    answered: float = 0.0  # share of dev that is to be sure; 0: half of the errors' share is not
    dev_most: int = 512  # dev examples that are measured after each epoch, drawn by the seed
    seed: int = 7

    RENAMED: ClassVar[dict[str, str | tuple[str, ...]]] = {
        "rate": "lr",
        "llm_rate": "llm_lr",
        "attributes_kept": "sources_kept",
        "motion": ("losses.motion", "losses.walking"),
        "naming": "losses.naming",
        "slots": "losses.slots",
        "llm": "losses.llm",
        "choices": "losses.choices",
    }
    RETIRED: ClassVar[dict[str, Any]] = {
        "warmup": 0.05,
        "clip_norm": 1.0,
        "sparse_epochs": 0,
        "patience": 0,
        "dev_share": 0.1,
        "only": "",
    }

    def __post_init__(self) -> None:
        given = {n: w for n, w in self.losses.items() if w or n in LOSSES}
        object.__setattr__(self, "losses", LOSSES | given)
        check_bounds(self, epochs=(1, 100_000), epoch_examples=(0, 10**7), dev_most=(1, 10**6))
        check_bounds(self, batch=(1, 4096), accumulate=(1, 4096), jitter=(1, 16), seed=(0, 2**63))
        check_bounds(self, silent_epochs=(0, self.epochs), balance=(0, 1), sources_kept=(0, 1))
        check_bounds(self, answered=(0, 1))
        check_bounds(self, weights=(0, 1e6), losses=(0, 1e6), lr=(0, 10), llm_lr=(0, 10))
        check_bounds(self, start_lr=(0, 1))
        check_optimizer(self.betas, self.weight_decay)
        if not any(self.losses.values()):
            raise ConfigError("losses: all weights are 0; then there is nothing to learn from")


@dataclass(frozen=True)
class PaperSettings:
    """MTransLLAMA's own settings (section IV), kept beside ours."""

    epochs: int = 25
    batch: int = 2
    frames: int = 4  # its "window", as we read it
    lr: float = 1.0e-4
    betas: tuple[float, ...] = (0.9, 0.95)
    weight_decay: float = 0.05

    RENAMED: ClassVar[dict[str, str]] = {"rate": "lr"}


@dataclass(frozen=True)
class Calibration:
    """How scores of choices become probabilities: `assistant.training.calibration` fits it."""

    temperature: float = 1.0  # log-scores are divided by it
    unsure_below: float = 0.0  # an answer with less probability is unsure; 0: none is
    examples: int = 0  # dev examples it was fitted on; 0: not fitted
    answered: float = 1.0  # share of them that is not unsure
    accuracy: float = 0.0  # of those

    def __post_init__(self) -> None:
        check_bounds(self, temperature=(1e-6, 1e6), unsure_below=(0, 1))


@dataclass(frozen=True)
class Provenance:
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
    sound: str = ""  # fingerprint of the audio encoder; "": it hears nothing


@dataclass(frozen=True)
class Recipe:
    """One adapter: its task, its shape, its training."""

    task: str
    frames: int = 8  # looked at; 0: it reads text alone, as one learns from data without clips
    with_: tuple[str, ...] = ()  # of EXTRAS; "with" in a file
    without: tuple[str, ...] = ()  # of ABLATIONS
    audio: str = "whisper-tiny.en"  # the encoder of sound: mini's, a hub id or a folder
    lora: LoraSettings = field(default_factory=LoraSettings)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    training: Training = field(default_factory=Training)
    paper: PaperSettings = field(default_factory=PaperSettings)
    made: Provenance | None = None

    RENAMED: ClassVar[dict[str, str]] = {"with": "with_"}

    def __post_init__(self) -> None:
        for part in self.with_:
            if part not in EXTRAS:
                raise ConfigError(f"with {part!r}: choose some of {', '.join(EXTRAS)}")
        if self.hears and self.frames < 2:
            raise ConfigError(
                f"with sound and frames {self.frames}: sound is heard beside frames, take 2 or "
                "more; of sarcasm and humor, --config configs/TASK-sound.yaml"
            )
        for part in self.without:
            if part not in ABLATIONS:
                raise ConfigError(f"without {part!r}: choose some of {', '.join(ABLATIONS)}")
        check_bounds(self, frames=(0, MOST_FRAMES))

    @property
    def hears(self) -> bool:
        """Whether it takes sound, where there is some."""
        return "sound" in self.with_ and "sound" not in self.without

    @property
    def regresses(self) -> bool:
        """Whether a regression of the text is fitted before training."""
        return "regression" in self.with_ and "regression" not in self.without

    @property
    def prior(self) -> float:
        """How much of the model's `choice_prior` counts: none where choices were learned."""
        return 0.0 if self.training.losses.get("choices") else 1.0

    @property
    def calibration(self) -> Calibration:
        """That of the finished adapter; before, none was fitted."""
        return Calibration() if self.made is None else self.made.calibration

    def as_dict(self) -> dict[str, Any]:
        """As a file has it."""
        names = {new: old for old, new in self.RENAMED.items()}
        return {names.get(key, key): _plain(value) for key, value in asdict(self).items()}

    def save(self, folder: Path) -> Path:
        """Write ``folder/recipe.yaml``, atomically."""
        path = folder / RECIPE
        part = path.with_suffix(".part")
        part.write_text(yaml.safe_dump(self.as_dict(), sort_keys=False, allow_unicode=True))
        part.replace(path)
        return path


def load_recipe(path: Path) -> Recipe:
    """The recipe at ``path``, a file or an adapter's folder.

    Raises:
        ConfigError: unreadable, an unknown or missing key, a value that cannot be.
    """
    path = path / RECIPE if path.is_dir() else path
    data = read_yaml(path)
    if isinstance(data, dict) and data.get("made") and isinstance(data.get("training"), dict):
        kept = {k: v for k, v in data["training"].items() if k not in Training.RETIRED}
        data = data | {"training": kept}  # how it was trained is past
    return from_mapping(Recipe, data, str(path))


def _plain(value: object) -> object:
    """Tuples as lists, for YAML."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value

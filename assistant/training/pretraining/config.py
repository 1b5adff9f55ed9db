"""The recipe of a pretraining run."""

from __future__ import annotations

from dataclasses import dataclass, field

from assistant.core.config import ModelConfig

__all__ = ["Phase", "PretrainConfig"]


@dataclass(frozen=True)
class Phase:
    """One stretch of training."""

    samples: int
    batch: int
    rate: float
    mix: dict[str, float]  # kind of sample: weight
    slots: float  # weight of the word-slot loss
    llm: float  # weight of the LLM's loss; 0 leaves the LLM out
    dense: float = 0.0  # weight of the dense supervision of contents
    binding: float = 0.0  # of binding
    places: float = 0.0  # of where a named object is
    focus: float = 1.0  # weight of answers that are one of few choices: they have little entropy
    parts: int = 1  # a batch goes through in so many parts, sorted by length
    silent: int = 0  # further samples of each batch, drawn by silent_mix, that skip the LLM
    silent_mix: dict[str, float] = field(default_factory=dict)
    horizon: int | None = None  # samples after which the rate would be 0; None: those of the phase
    warmup: float = 0.05  # share of the steps
    blind: float = 0.06  # share of batches that see no picture
    renamed: float = 0.0  # share of lists and descriptions with another name (pretraining_names)
    follow_ups: float = 0.1  # share of samples with an earlier turn
    dev_every: int = 1000  # steps

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
    scene_rounds: int = 3  # of questions about each scene
    dev_scenes: int = 300
    seed: int = 7
    weight_decay: float = 0.05
    dropout: float = 0.1  # inside the Q-Former
    patches_kept: float = 0.7  # share of a picture's patches that a training step shows
    attributes_kept: float = 0.5  # share of samples that name the encoder's classes
    views: bool = True  # mirrored and cropped photos
    betas: tuple[float, ...] = field(default=(0.9, 0.98))
    clip_norm: float = 1.0
    average: float = 0.999  # decay of the weights' running average, which is what is kept; 0: none
